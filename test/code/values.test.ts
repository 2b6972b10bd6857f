// The law of values: what is captured and loaded equals what was there.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { captureCode } from '../../src/code/capture.ts'
import { loadCode } from '../../src/code/load.ts'

async function travelled(value: unknown): Promise<unknown> {
  const { bytes } = captureCode([{ value, label: 'value' }])
  const [loaded] = await loadCode(bytes, { known: new Map(), base: import.meta.url })
  return loaded
}

const anything = fc.anything({
  withBigInt: true,
  withBoxedValues: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withSparseArray: true,
  withTypedArray: true,
  withUnicodeString: true,
})

test('values are equal after the journey', async () => {
  await fc.assert(
    fc.asyncProperty(anything, async (value) => {
      expect(await travelled(value)).toStrictEqual(value)
    }),
  )
})

test('the same values have the same hash', () => {
  fc.assert(
    fc.property(fc.clone(anything, 2), ([a, b]) => {
      const [first, second] = [a, b].map((value) => captureCode([{ value, label: 'value' }]).hash)
      expect(first).toBe(second)
    }),
  )
})

test('identities are kept across roots', async () => {
  const shared = { n: 1 }
  const roots = [shared, { shared }, new Map([[shared, shared]])].map((value) => ({ value, label: 'value' }))
  const loaded = await loadCode(captureCode(roots).bytes, { known: new Map(), base: import.meta.url })
  const [a, b, c] = loaded as [typeof shared, { shared: typeof shared }, Map<typeof shared, typeof shared>]
  expect(b.shared).toBe(a)
  expect(c.get(a)).toBe(a)
})

test('views of one buffer keep sharing it', async () => {
  const buffer = new ArrayBuffer(16)
  const views = [new Float64Array(buffer), new Uint8Array(buffer, 8, 4)]
  const [floats, bytes] = (await travelled(views)) as [Float64Array, Uint8Array]
  expect(bytes.buffer).toBe(floats.buffer)
  expect([bytes.byteOffset, bytes.length]).toEqual([8, 4])
})
