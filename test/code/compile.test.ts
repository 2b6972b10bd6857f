import { expect, test } from 'vitest'
import { compileLiterals } from '../../src/code/compile.ts'
import type { WireDocument, WireLiteral } from '../../src/code/wire.ts'

const literal = (source: string): WireLiteral => ({
  form: 'expression',
  file: 0,
  line: 41,
  column: 3,
  strict: true,
  source,
  names: ['factor'],
})
const document = (source: string): WireDocument => ({
  roots: [],
  nodes: [],
  cells: [],
  literals: [literal(source)],
  files: ['/app/main.ts'],
  modules: [],
  packages: {},
  blobs: [],
})

function made(source: string, cache?: Parameters<typeof compileLiterals>[1]): () => unknown {
  const [factory] = compileLiterals(document(source), cache, 'hash')
  const instance = factory?.()
  const result = instance?.make() as () => unknown
  instance?.bind([6])
  return result
}

test('names get their values after the function is made', () => {
  expect(made('() => factor * 7')()).toBe(42)
})

test('large sources are kept as V8 compiled them', () => {
  const kept = new Map<string, Uint8Array>()
  let reads = 0
  const cache = {
    read: (name: string) => {
      reads += 1
      return kept.get(name)
    },
    write: (name: string, data: Uint8Array) => void kept.set(name, data),
  }
  const large = `() => { /* ${'x'.repeat(20_000)} */ return factor }`
  expect(made(large, cache)()).toBe(6)
  expect(kept.size).toBe(1)
  expect(made(large, cache)()).toBe(6)
  expect(reads).toBe(2)
  made('() => factor', cache)
  expect(reads).toBe(2)
})

test('damaged compiled forms do no harm', () => {
  const large = `() => { /* ${'y'.repeat(20_000)} */ return factor }`
  expect(made(large, { read: () => new Uint8Array(100), write: () => undefined })()).toBe(6)
})

test('what does not compile names its place', () => {
  expect(() => made('() => {')).toThrow(
    expect.objectContaining({ code: 'CAPTURE_LOAD', message: expect.stringContaining('/app/main.ts:42') as string }),
  )
})
