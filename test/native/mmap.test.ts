import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { mapFile, touchPages, tryLock, unmap, type MapMode } from '../../src/native/mmap.ts'
import { codeOf, temporaryFolder } from '../buffers/folder.ts'

const path = temporaryFolder()

function mapped(file: string, offset: number, length: number, mode: MapMode): ArrayBuffer {
  const fd = openSync(file, 'r+')
  try {
    return mapFile(fd, offset, length, mode)
  } finally {
    closeSync(fd)
  }
}

describe('mapFile', () => {
  it('maps any byte range, on and off page borders', () => {
    const file = path()
    writeFileSync(
      file,
      Uint8Array.from({ length: 20_000 }, (_, index) => index % 251),
    )
    for (const [offset, length] of [
      [0, 20_000],
      [4096, 10],
      [5000, 9000],
      [19_999, 1],
    ] as const) {
      const bytes = new Uint8Array(mapped(file, offset, length, 'read'))
      expect(bytes.length).toBe(length)
      expect([bytes[0], bytes[length - 1]]).toEqual([offset % 251, (offset + length - 1) % 251])
    }
  })

  it('keeps private writes in this process and lets shared ones reach the file', () => {
    const file = path()
    writeFileSync(file, new Uint8Array(8192))
    new Uint8Array(mapped(file, 10, 100, 'private'))[0] = 7
    expect(readFileSync(file)[10]).toBe(0)
    new Uint8Array(mapped(file, 10, 100, 'shared'))[0] = 7
    expect(readFileSync(file)[10]).toBe(7)
  })

  it('refuses ranges beyond the end of the file', () => {
    const file = path()
    writeFileSync(file, new Uint8Array(100))
    expect(codeOf(() => mapped(file, 50, 51, 'read'))).toBe('BUFFER_CORRUPT')
    expect(mapped(file, 50, 0, 'read').byteLength).toBe(0)
  })

  it('is safe to touch after unmap', () => {
    const file = path()
    writeFileSync(file, new Uint8Array(100_000).fill(9))
    const buffer = mapped(file, 0, 100_000, 'private')
    const bytes = new Uint8Array(buffer)
    // Of 4, 16 or 64 KiB.
    const sums = [4096, 16_384, 65_536].map((page) => 9 * Math.ceil(100_000 / page))
    expect(sums).toContain(touchPages(buffer))
    unmap(buffer)
    unmap(buffer)
    // Zero pages, or a detached array.
    expect([0, undefined]).toContain(bytes[50_000])
    bytes[50_000] = 1
    expect(readFileSync(file)[50_000]).toBe(9)
  })
})

describe.runIf('transfer' in ArrayBuffer.prototype)('where ArrayBuffers can be transferred', () => {
  it('maps cannot, but for being given back', () => {
    const file = path()
    writeFileSync(file, new Uint8Array(10_000).fill(9))
    const buffer = mapped(file, 0, 10_000, 'read')
    const movable = buffer as ArrayBuffer & { transfer(): ArrayBuffer; transferToFixedLength(): ArrayBuffer }
    expect(codeOf(() => movable.transfer())).toBe('BUFFER_OPTION')
    expect(codeOf(() => movable.transferToFixedLength())).toBe('BUFFER_OPTION')
    expect(() => structuredClone(buffer, { transfer: [buffer] })).toThrow(expect.objectContaining({ name: 'DataCloneError' }) as Error) // prettier-ignore
    expect(new Uint8Array(buffer)[9999]).toBe(9)
    unmap(buffer)
    expect(buffer.byteLength).toBe(0)
  })
})

describe('tryLock', () => {
  it('is held by one until it is released', () => {
    const file = path('lock')
    const release = tryLock(file)
    expect(release).toBeTypeOf('function')
    expect(tryLock(file)).toBeUndefined()
    release?.()
    const again = tryLock(file)
    expect(again).toBeTypeOf('function')
    again?.()
  })
})
