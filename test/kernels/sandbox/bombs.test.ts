import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kernel, openBench, type Bench } from '../step-bench.ts'

// Each fails its own step with a code, and steps of others go on, those that run at the same time included.
const bombs: readonly (readonly [name: string, body: string, code: RegExp])[] = [
  ['a huge split', "return done('x'.repeat(2 ** 28).split('').length)", /KERNEL_(?:MEMORY|THREW)/],
  ['a growing Map', 'const m = new Map(); for (let i = 0; ; i++) m.set(i, "value " + i)', /KERNEL_(?:MEMORY|TIMEOUT)/],
  ['a growing array', 'const a = []; for (;;) a.push({})', /KERNEL_(?:MEMORY|TIMEOUT)/],
  [
    'a growing array that notices',
    'const a = []; for (;;) try { for (;;) a.push({}) } catch {}',
    /KERNEL_(?:MEMORY|TIMEOUT)/,
  ],
  ['a huge concatenation', "let s = 'x'; for (;;) s += s + 'y'", /KERNEL_(?:MEMORY|TIMEOUT)/],
  ['a huge typed array', 'return done(new Uint8Array(2 ** 31 - 1).length)', /KERNEL_(?:MEMORY|THREW)/],
  ['many typed arrays', 'const l = []; for (;;) l.push(new Float64Array(1e6).fill(1))', /KERNEL_(?:MEMORY|TIMEOUT)/],
  ['a catastrophic regular expression', "return done(/^(a+)+$/.test('a'.repeat(40) + '!'))", /KERNEL_TIMEOUT/],
  ['infinite recursion', 'function g() { return g() + 1 } return g()', /KERNEL_STACK/],
  ['an infinite loop', 'for (;;) {}', /KERNEL_TIMEOUT/],
  ['an infinite loop that catches', 'for (;;) try { for (;;) {} } catch {}', /KERNEL_TIMEOUT/],
  [
    'infinite microtasks',
    'const again = () => Promise.resolve().then(again); return again()',
    /KERNEL_(?:TIMEOUT|MEMORY)/,
  ],
  ['a loop in native code', 'return done(Array(2 ** 32 - 1).indexOf(1))', /KERNEL_TIMEOUT/],
  ['a search in native code', "return done('a'.repeat(1e7).indexOf('a'.repeat(5e6) + 'b'))", /KERNEL_TIMEOUT/],
  ['a huge return value', "return done('x'.repeat(2 ** 24))", /KERNEL_SIZE/],
  ['a huge call string', `return 'f("' + 'x'.repeat(2 ** 24) + '")'`, /KERNEL_SIZE/],
  ['a huge array', 'return done(new Array(2 ** 32 - 1))', /KERNEL_SIZE/],
  ['huge JSON', "return done(JSON.stringify('x'.repeat(2 ** 23)).repeat(2))", /KERNEL_(?:SIZE|MEMORY)/],
  ['JSON without end', 'const o = { toJSON: () => o }; return done(o)', /KERNEL_(?:STACK|THREW)/],
  [
    'deep nesting',
    'let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return done(a)',
    /KERNEL_(?:STACK|MEMORY|TIMEOUT)/,
  ],
  ['deeply nested JSON', "return done(JSON.parse('['.repeat(1e6)))", /KERNEL_(?:STACK|THREW|MEMORY)/],
  [
    'a million properties',
    'const o = {}; for (let i = 0; i < 1e6; i++) o["key" + i] = i; return done(o)',
    /KERNEL_(?:SIZE|MEMORY|TIMEOUT)/,
  ],
  ['endless logging', 'for (;;) console.log("x".repeat(1000))', /KERNEL_TIMEOUT/],
  ['endless writes', 'const d = done(); for (;;) d.set("k", "v".repeat(1000))', /KERNEL_(?:SIZE|MEMORY|TIMEOUT)/],
]

describe('bombs in the sandbox', () => {
  let bench: Bench & { close(): Promise<void> }
  beforeAll(() => {
    bench = openBench()
  })
  afterAll(() => bench.close())

  it.each(bombs)('%s fails its own step only', async (_name, body, code) => {
    const bomb = kernel('bomb', `function bomb() {\n${body}\n}`, {
      // Those that could end by themselves have the time to.
      timeoutMs: code.source.includes('TIMEOUT') ? 500 : 10_000,
    })
    const other = kernel('other', 'function other(x) { return done(x + 1) }', { timeoutMs: 60_000 })
    const [before, error, ...after] = await Promise.all([
      bench.value(other, [1]),
      bench.failure(bomb),
      ...[2, 3, 4].map((x) => bench.value(other, [x])),
    ])
    expect(error).toMatchObject({ code: expect.stringMatching(code), kernel: 'bomb' })
    expect([before, ...after]).toEqual([2, 3, 4, 5])
  })

  it('fails a source whose loading does not end', async () => {
    for (const loop of ['for (;;) {}', 'Array(2 ** 32 - 1).indexOf(1)']) {
      const error = await bench.failure(kernel('f', `${loop}\nfunction f() {}`, { timeoutMs: 300 }))
      expect(error).toMatchObject({ code: 'KERNEL_TIMEOUT' })
    }
  })

  it('gives a kernel the memory that it was allowed, and no more', async () => {
    const source =
      'function f(mb) { const a = []; for (let i = 0; i < mb; i++) a.push(new Uint8Array(1e6).fill(1)); return done(a.length) }'
    const limits = { timeoutMs: 30_000 }
    expect(await bench.value(kernel('f', source, { ...limits, memoryMb: 64 }), [40])).toBe(40)
    expect(await bench.failure(kernel('f', source, { ...limits, memoryMb: 32 }), [40])).toMatchObject({
      code: 'KERNEL_MEMORY',
    })
    // What one step used up is there for the next one.
    for (let i = 0; i < 3; i++)
      expect(await bench.value(kernel('f', source, { ...limits, memoryMb: 64 }), [40])).toBe(40)
  })

  it('says that memory was missing, wherever among its promises it was', async () => {
    // The room that is left when it ends is another one with each size.
    const source =
      'function f(pad) { const again = () => Promise.resolve().then(again); return pad.length > 0 && again() }'
    for (let memoryMb = 16; memoryMb < 28; memoryMb++) {
      const bomb = kernel('f', source, { timeoutMs: 60_000, memoryMb })
      expect(await bench.failure(bomb, ['x'.repeat(37 * memoryMb)])).toMatchObject({ code: 'KERNEL_MEMORY' })
    }
  })

  it('takes limits of memory that no engine has', async () => {
    for (const memoryMb of [1, 65_536])
      expect(await bench.value(kernel('f', 'function f() { return done(1) }', { memoryMb }))).toBe(1)
  })

  it('names where a loop is', async () => {
    const source = 'function _g() {}\n\nfunction f() {\n  for (;;) _g()\n}'
    const error = await bench.failure(kernel('f', source, { timeoutMs: 100 }))
    expect(error).toMatchObject({ code: 'KERNEL_TIMEOUT', kernel: 'f' })
    // QuickJS knows of some places in a loop no more than where its function begins.
    expect([1, 3, 4]).toContain(error.line)
  })
})
