import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeNpy, encodeNpy, npyBytes, npyElements, npyHeader, parseNpyHeader } from '../../src/codec/npy.ts'
import type { NpyType } from '../../src/codec/npy.ts'
import { MatrixError } from '../../src/errors.ts'

const types = ['b1', 'i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16'] as const

const widths: Record<NpyType, number> = {
  ...{ b1: 1, i1: 1, u1: 1, i2: 2, u2: 2, i4: 4, u4: 4, i8: 8, u8: 8 },
  ...{ f2: 2, f4: 4, f8: 8, c8: 8, c16: 16 },
}

/** A file as NumPy writes it: its header as text, padded, and its elements. */
function file(header: string, elements: Uint8Array, version = 1): Uint8Array {
  const prefix = version === 1 ? 10 : 12
  const text = header.padEnd(Math.ceil((prefix + header.length + 1) / 64) * 64 - prefix - 1) + '\n'
  const head = Buffer.alloc(prefix)
  head.set([0x93, ...Buffer.from('NUMPY'), version, 0])
  if (version === 1) head.writeUInt16LE(text.length, 8)
  else head.writeUInt32LE(text.length, 8)
  return Buffer.concat([head, Buffer.from(text, 'latin1'), elements])
}

const thrown = (f: () => unknown): MatrixError => {
  try {
    f()
  } catch (error) {
    if (error instanceof MatrixError) return error
    throw error
  }
  throw new TypeError('nothing was thrown')
}

test('arrays of every type and shape come back as they were', () => {
  const shaped = fc.record({
    type: fc.constantFrom(...types),
    shape: fc.array(fc.nat(5), { maxLength: 4 }),
    shift: fc.nat(3),
  })
  fc.assert(
    fc.property(shaped, fc.infiniteStream(fc.nat(255)), ({ type, shape, shift }, noise) => {
      const count = shape.reduce((product, size) => product * size, 1)
      const bytes = Uint8Array.from({ length: count * widths[type] }, () => noise.next().value)
      const encoded = encodeNpy(type, shape, npyElements(type, bytes))
      // Where a value lies in memory is not ours to say: it need not be aligned.
      const moved = Buffer.from(new ArrayBuffer(encoded.length + shift), shift)
      moved.set(encoded)
      const decoded = decodeNpy(moved)
      expect(decoded.type).toBe(type)
      expect(decoded.shape).toEqual(shape)
      expect(Buffer.from(npyBytes(decoded.data)).equals(bytes)).toBe(true)
    }),
  )
})

test('the bytes are those of numpy.save', () => {
  // numpy 1.24: np.save(f, np.arange(6, dtype='<f8').reshape(2, 3))
  const header = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }"
  const elements = npyBytes(Float64Array.of(0, 1, 2, 3, 4, 5))
  expect(Buffer.from(encodeNpy('f8', [2, 3], Float64Array.of(0, 1, 2, 3, 4, 5))).equals(file(header, elements))).toBe(
    true,
  )
})

test('elements are aligned in the file, whatever the shape', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 40 }), (shape) => {
      const header = npyHeader('f8', shape)
      expect(header.length % 64).toBe(0)
      expect(header.at(-1)).toBe(0x0a)
    }),
  )
})

test('a header that is too long for version 1 is written as version 2', () => {
  const shape = Array.from({ length: 30_000 }, () => 1)
  const bytes = encodeNpy('f8', shape, Float64Array.of(7))
  expect(bytes[6]).toBe(2)
  expect(decodeNpy(bytes)).toEqual({ type: 'f8', shape, data: Float64Array.of(7) })
})

describe('what other programs write is read', () => {
  test('Fortran order', () => {
    const header = "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3, 2), }"
    // np.asfortranarray(np.arange(12).reshape(2, 3, 2)).ravel(order='K')
    const elements = Int32Array.of(0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11)
    expect(decodeNpy(file(header, npyBytes(elements)))).toEqual({
      type: 'i4',
      shape: [2, 3, 2],
      data: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
    })
  })

  test('big-endian elements', () => {
    const header = "{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }"
    expect(decodeNpy(file(header, Uint8Array.of(1, 2, 3, 4))).data).toEqual(Uint16Array.of(0x0102, 0x0304))
    const complex = "{'descr': '>c8', 'fortran_order': False, 'shape': (1,), }"
    expect(decodeNpy(file(complex, Uint8Array.of(0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0))).data).toEqual(
      Float32Array.of(1, -2),
    )
  })

  test.each([
    ['a scalar', "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", []],
    ['a tuple of one', "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", [1]],
    ['long integers of Python 2', "{'descr': '<f8', 'fortran_order': False, 'shape': (1L, 1L), }", [1, 1]],
    ['another order of fields', "{'shape':(1,1),'fortran_order':False,'descr':'<f8'}", [1, 1]],
    ['double quotes', '{"descr": "<f8", "fortran_order": False, "shape": (1, 1)}', [1, 1]],
  ])('%s', (_, header, shape) => {
    for (const version of [1, 2, 3]) {
      const decoded = decodeNpy(file(header, npyBytes(Float64Array.of(5)), version))
      expect(decoded).toEqual({ type: 'f8', shape, data: Float64Array.of(5) })
    }
  })
})

describe('what is not an array is refused', () => {
  const good = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
  const eight = new Uint8Array(8)

  test.each([
    ['nothing', new Uint8Array(), /magic/],
    ['another format', Buffer.from('PK\u0003\u0004 something else'), /magic/],
    ['a later version', file(good, eight, 4), /version 4\.0/],
    ['half a header', file(good, eight).subarray(0, 40), /ends within its header/],
    ['an element too few', file(good, eight).subarray(0, -1), /expected 8 bytes .* got 7/],
    ['an element too many', file(good, new Uint8Array(16)), /expected 8 bytes .* got 16/],
    ['records', file("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }", eight), /cannot be read at/],
    ['objects', file("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", eight), /type '\|O'/],
    ['no type', file("{'fortran_order': False, 'shape': (1,), }", eight), /'descr'/],
    ['a field twice', file("{'descr': '<f8', 'descr': '<f8', 'shape': (1,), }", eight), /twice/],
    ['a field more', file("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 'y'}", eight), /not known/],
    ['a number for a tuple', file("{'descr': '<f8', 'fortran_order': False, 'shape': (1), }", eight), /not a tuple/],
    ['a negative size', file("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }", eight), /cannot be read at/],
    ['code', file("{'descr': '<f8', 'fortran_order': exit(), 'shape': (1,), }", eight), /cannot be read at/],
    ['a size beyond numbers', file(good.replace('(1,)', '(9007199254740993, 3)'), eight), /too large/],
  ])('%s', (_, bytes, message) => {
    const error = thrown(() => decodeNpy(bytes))
    expect(error.code).toBe('MATRIX_FORMAT')
    expect(error.message).toMatch(message)
  })

  test('data that do not fill the shape are not written', () => {
    expect(thrown(() => encodeNpy('f8', [2, 2], new Float64Array(3))).code).toBe('MATRIX_FORMAT')
  })

  test('damage anywhere gives an array or MATRIX_FORMAT', () => {
    const bytes = encodeNpy('f8', [2, 2], new Float64Array(4))
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const damaged = bytes.slice()
        damaged[at] = byte
        let error: unknown
        try {
          decodeNpy(damaged)
        } catch (problem) {
          error = problem
        }
        expect(error === undefined || error instanceof MatrixError).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

test('a header can be read before its elements are there', () => {
  const header = npyHeader('f4', [1000, 20], true)
  expect(parseNpyHeader(header)).toEqual({
    type: 'f4',
    shape: [1000, 20],
    fortran: true,
    bigEndian: false,
    offset: header.length,
    count: 20_000,
  })
})
