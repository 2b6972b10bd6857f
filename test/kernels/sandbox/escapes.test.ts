import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kernel, openBench, type Bench } from '../step-bench.ts'

describe('the sandbox', () => {
  let bench: Bench & { close(): Promise<void> }
  beforeAll(() => {
    bench = openBench()
  })
  afterAll(() => bench.close())
  const value = (body: string) => bench.value(kernel('f', `function f() {\n${body}\n}`))

  it('has nothing of Node', async () => {
    const names = [
      'process',
      'require',
      'module',
      'Buffer',
      'fetch',
      'global',
      'WebAssembly',
      'Worker',
      'performance',
      'std',
      'os',
      '$world',
      '$gearmill_',
    ]
    expect(await value(`return done([${names.map((name) => `typeof ${name}`).join()}])`)).toEqual(
      names.map(() => 'undefined'),
    )
  })

  it.each([
    ['a function of the api', "next.constructor('return typeof process')()"],
    ['what the api gives', "next('a').constructor.constructor('return typeof process')()"],
    ['an argument', "(function () { return arguments })().constructor.constructor('return typeof process')()"],
    ['the console', "console.log.constructor('return typeof process')()"],
    [
      'an async function',
      "Object.getPrototypeOf(async () => {}).constructor('return typeof process') && typeof process",
    ],
    [
      'an error',
      "(() => { try { null.x } catch (e) { return e.constructor.constructor('return typeof process')() } })()",
    ],
    ['eval', "(0, eval)('typeof process')"],
  ])('leads nowhere through %s', async (_name, expression) => {
    expect(await value(`return done(${expression})`)).toBe('undefined')
  })

  it('imports nothing while it runs', async () => {
    for (const specifier of ['node:fs', 'fs', './step.js', 'data:text/javascript,1']) {
      const source = `async function f() { await import(${JSON.stringify(specifier)}); return done() }`
      expect(await bench.failure(kernel('f', source))).toMatchObject({ kernel: 'f', code: 'KERNEL_THREW' })
    }
    for (const specifier of ['node:fs', 'fs', 'acorn']) {
      const error = await bench.failure(kernel('f', `import x from '${specifier}'\nfunction f() {}`))
      expect(error).toMatchObject({ code: 'KERNEL_IMPORT', line: 1 })
    }
  })

  it.each([
    ['setTimeout', 'setTimeout(() => {}, 1)'],
    ['setInterval', 'setInterval(() => {}, 1)'],
    ['Math.random', 'Math.random()'],
  ])('denies %s, with the line', async (name, call) => {
    const error = await bench.failure(kernel('f', `function f() {\n\n  ${call}\n}`))
    expect(error).toMatchObject({ code: 'KERNEL_DENIED', line: 3, message: expect.stringContaining(name) })
  })

  it('grants randomness that is the same in each attempt of a step', async () => {
    const f = kernel('f', 'function f() { return done([Math.random(), Math.random()]) }', { grants: ['random'] })
    const [first, second, other] = [await bench.value(f), await bench.value(f), await bench.value(f, [], { step: 2 })]
    expect(second).toEqual(first)
    expect(other).not.toEqual(first)
    expect(first).toEqual([expect.any(Number), expect.any(Number)])
  })

  it('lets time stand at that of the step', async () => {
    const source =
      'class D extends Date {}\nfunction f() { return done([Date.now(), +new Date(), +new D(), +new Date(5), Date.UTC(1970, 0), new Date() instanceof Date]) }'
    const nowMs = 1_700_000_000_000
    expect(await bench.value(kernel('f', source), [], { nowMs })).toEqual([nowMs, nowMs, nowMs, 5, 0, true])
    const early = await bench.failure(kernel('f', 'const t = Date.now()\nfunction f() {}'))
    expect(early).toMatchObject({ code: 'KERNEL_DENIED', line: 1 })
  })

  it('forgets all that a step does to it', async () => {
    const source = `let count = 0
    const kept = []
    function f() {
      const seen = [count++, kept.push(1), typeof globalThis.left, ({}).polluted ?? null, [].concat === Object]
      globalThis.left = 1
      Object.prototype.polluted = 'yes'
      Array.prototype.concat = Object
      JSON.parse = JSON.stringify = () => { throw 1 }
      String.prototype.includes = () => true
      return done(seen)
    }`
    for (let i = 0; i < 3; i++) {
      expect(await bench.value(kernel('f', source))).toEqual([0, 1, 'undefined', null, false])
    }
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  it('forgets what a failed step did, and what it left running', async () => {
    const source = `let runs = 0
    function f(x) {
      runs++
      Promise.resolve().then(() => { runs += 100 })
      if (x) throw runs
      return done(runs)
    }`
    const f = kernel('f', source)
    await bench.failure(f, [1])
    expect(await bench.value(f, [0])).toBe(1)
    expect(await bench.value(f, [0])).toBe(1)
  })

  it('shares nothing between kernels', async () => {
    const writer =
      "globalThis.shared = 'secret'; Object.prototype.shared = 'secret'; Symbol.for('shared').toString(); return done()"
    await bench.value(kernel('writer', `function writer() { ${writer} }`))
    const reader = 'function reader() { return done([typeof globalThis.shared, ({}).shared ?? null]) }'
    expect(await bench.value(kernel('reader', reader))).toEqual(['undefined', null])
  })

  it.each([
    ['Array.prototype.join', 'Array.prototype.join = Array.prototype.push = Array.prototype.map = () => 666'],
    ['String.prototype', 'String.prototype.isWellFormed = () => ({}); String.prototype.includes = () => true'],
    ['JSON', 'JSON.stringify = () => "a2:s1:xs1:y"'],
    ['Object.keys', 'Object.keys = () => { throw 1 }; Object.prototype.toString = () => "x"'],
    ['instanceof', 'Object.defineProperty(Uint8Array, Symbol.hasInstance, { value: () => true })'],
    ['forged calls', 'const n = next("a"); n.calls = [{ name: 1, args: 5, afterMs: -1 }]; return n'],
    ['forged texts', 'const n = next("a"); n.writes = ["a99999:"]; return n'],
  ])('answers with a step or a coded error where it is tampered with: %s', async (_name, body) => {
    const result = await bench.run(kernel('f', `function f() { ${body}; return next('g', [1], 'x\\0') }`)).then(
      () => 'KERNEL_OK',
      (error: { readonly code: string }) => error.code,
    )
    expect(result).toMatch(/^KERNEL_/)
    expect(await value('return done(1)')).toBe(1)
  })
})
