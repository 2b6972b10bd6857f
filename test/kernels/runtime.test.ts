import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeKernel } from '../../src/kernels/runtime.ts'
import { kernel as plainKernel, openBench, type Bench } from './step-bench.ts'
import type { KernelSource } from '../../src/kernels/step.ts'

// What a kernel may say means the same in the sandbox and out of it.
describe.each([
  ['in the sandbox', false],
  ['trusted', true],
])('a step %s', (_, trusted) => {
  let bench: Bench & { close(): Promise<void> }
  const kernel = (name: string, source: string, options: Partial<KernelSource> = {}): KernelSource =>
    plainKernel(name, source, { trusted, ...options })

  beforeAll(() => {
    bench = openBench()
  })
  afterAll(() => bench.close())

  describe('the source', () => {
    it.each([
      [
        'a function with the name of the kernel',
        'function f(x) { return done(_help(x)) }\nfunction _help(x) { return x + 1 }',
      ],
      ['a constant with that name', 'const f = (x) => done(x + 1)'],
      ['the default export, named', 'export default function any(x) { return done(x + 1) }'],
      ['the default export, without a name', 'export default function (x) { return done(x + 1) }'],
      ['the default export, an arrow', 'const one = 1\nexport default (x) => done(x + one)'],
      ['the default export, by a list', 'function any(x) { return done(x + 1) }\nexport { any as default }'],
      ['an export under that name', 'function any(x) { return done(x + 1) }\nexport { any as f }'],
      [
        'the only exported function',
        'export const params = ["number"]\nexport function any(x) { return done(x + help(1)) }\nfunction help(x) { return x }',
      ],
      [
        'the only function that is no helper',
        'function any(x) { return done(_help(x)) }\nfunction _help(x) { return x + 1 }',
      ],
      ['an arrow alone', '(x) => done(x + 1)'],
      ['an arrow alone, with an end', '(x) => done(x + 1);\n'],
      ['a function without a name alone', 'function (x) { return done(x + 1) }'],
      ['an async one', 'async function f(x) { await null; return done(await Promise.resolve(x + 1)) }'],
      [
        'TypeScript',
        'interface A { a: number }\nexport function f(x: number): unknown {\n  const a = { a: x } satisfies A\n  return done(a.a! + (1 as number))\n}',
      ],
      ['TypeScript without a name', 'function (x: number): unknown { return done(x + 1) }'],
      ['TypeScript, an arrow', 'async (x: number) => done(x + 1)'],
    ])('may be %s', async (_name, source) => {
      expect(await bench.value(kernel('f', source), [1])).toBe(2)
    })

    it('may have a name that is none in JavaScript', async () => {
      expect(await bench.value(kernel('img:re-size (big)', 'export default (x) => done(x)'), ['a'])).toBe('a')
    })

    it('is read with its other names in its way', async () => {
      const source =
        'const next = 1, done_ = done, console = 2, exports = 3, module = 4\nfunction f() { return done_(next + console + exports + module) }'
      expect(await bench.value(kernel('f', source))).toBe(10)
    })

    it.each([
      ['JavaScript', 'function f() {\n  return 1 +\n}', 3],
      ['TypeScript', 'type A = 1\nfunction f(): void {\n  let x: = 1\n}', 3],
      ['an enum', '\n\nenum A { B }\nfunction f() {}', 3],
      ['another language', 'def f(x):\n  return x', 1],
      ['params that are none', 'export const params = [\n"text"]\nfunction f() {}', 1],
      ['await outside of functions', 'function f() {}\n\nawait f()', 3],
    ])('is refused with its line where it is wrong: %s', async (_name, source, line) => {
      expect(await bench.failure(kernel('f', source))).toMatchObject({ code: 'KERNEL_SYNTAX', kernel: 'f', line })
      expect(() => describeKernel('f', source)).toThrow(expect.objectContaining({ code: 'KERNEL_SYNTAX', line }))
    })

    it.each([
      ['no function', 'const a = 1'],
      ['two that may be it', 'function a() {}\nfunction b() {}'],
      ['nothing at all', ''],
    ])('is refused where it does not say what the kernel is: %s', async (_name, source) => {
      expect(await bench.failure(kernel('f', source))).toMatchObject({ code: 'KERNEL_ENTRY', kernel: 'f' })
    })

    it('is refused where what has the name is no function', async () => {
      expect(await bench.failure(kernel('f', 'const f = 1'))).toMatchObject({ code: 'KERNEL_ENTRY' })
    })

    it('runs as the version that is given', async () => {
      expect(await bench.value(kernel('f', 'function f() { return done(1) }'))).toBe(1)
      expect(await bench.value(kernel('f', 'function f() { return done(2) }'))).toBe(2)
      // A hash is a claim: what counts is the source.
      expect(await bench.value(kernel('f', 'function f() { return done(3) }', { hash: 'same' }))).toBe(3)
      expect(await bench.value(kernel('f', 'function f() { return done(4) }', { hash: 'same' }))).toBe(4)
    })
  })

  describe('imports', () => {
    const store = (name: string, source: string): void => void bench.stored.set(name, kernel(name, source))

    it.each(["'lib'", "'./lib'", "'./lib.ts'", "'./lib.js'", "'kernel:lib'"])(
      'find other sources by name: %s',
      async (specifier) => {
        store('lib', 'export const one = 1\nexport default function (x) { return x + one }')
        const source = `import add, { one } from ${specifier}\nimport * as all from ${specifier}\nfunction f(x) { return done(add(x) + one + all.one) }`
        expect(await bench.value(kernel('f', source), [1])).toBe(4)
      },
    )

    it('find functions of sources that export nothing', async () => {
      store('func1', 'function func1(x) { return _twice(x) }\nfunction _twice(x) { return 2 * x }')
      const source = "import func1, { _twice } from 'func1'\nfunction f(x) { return done([func1(x), _twice(x)]) }"
      expect(await bench.value(kernel('f', source), [2])).toEqual([4, 4])
    })

    it('go through other sources, which may pass on what they import', async () => {
      store('a', 'export const a = 1\nexport default 0')
      store('b', "export * from 'a'\nexport * as a2 from 'a'\nexport { a as c } from 'a'\nexport const b = 2")
      const source =
        "import { a, a2, b, c } from 'b'\nimport { a as again } from 'a'\nfunction f() { return done([a, b, c, a2.a, again]) }"
      expect(await bench.value(kernel('f', source))).toEqual([1, 2, 1, 1, 1])
    })

    it('see the version that is stored when the step runs', async () => {
      const f = kernel('f', "import { v } from 'lib'\nfunction f() { return done(v) }")
      store('lib', 'export const v = 1')
      expect(await bench.value(f)).toBe(1)
      store('lib', 'export const v = 2')
      expect(await bench.value(f)).toBe(2)
    })

    it('are refused where there is no such source, or no such export', async () => {
      bench.stored.clear()
      store('lib', 'export const a = 1')
      const missing = "const a = 1\nimport x from 'no-such-thing'\nfunction f() {}"
      expect(await bench.failure(kernel('f', missing))).toMatchObject({ code: 'KERNEL_IMPORT', kernel: 'f' })
      const noExport = "\nimport { b } from 'lib'\nfunction f() {}"
      const error = await bench.failure(kernel('f', noExport))
      expect(error).toMatchObject({ code: 'KERNEL_IMPORT', line: 2, message: expect.stringContaining("no export 'b'") })
    })

    it('are refused where there are too many', async () => {
      const names = Array.from({ length: 501 }, (_, i) => `lib${i}`)
      for (const name of names) bench.stored.set(name, kernel(name, 'export const a = 1'))
      const source = (count: number) =>
        `${names
          .slice(0, count)
          .map((name) => `import '${name}'`)
          .join('\n')}\nfunction f() { return done(1) }`
      expect(await bench.value(kernel('f', source(500)))).toBe(1)
      expect(await bench.failure(kernel('f', source(501)))).toMatchObject({ code: 'KERNEL_IMPORT', line: 501 })
    })

    it('are refused in a circle', async () => {
      store('a', "import 'b'\nexport function a() {}")
      store('b', "import 'a'\nexport function b() {}")
      const error = await bench.failure(kernel('f', "import 'a'\nfunction f() {}"))
      expect(error).toMatchObject({ code: 'KERNEL_IMPORT', message: expect.stringContaining('f > a > b > a') })
    })

    it('name the source that is wrong, or that threw', async () => {
      store('bad', 'export const a =')
      const wrong = await bench.failure(kernel('f', "import 'bad'\nfunction f() {}"))
      expect(wrong).toMatchObject({ code: 'KERNEL_SYNTAX', kernel: 'f', module: 'bad', line: 1 })
      store('lib', 'export function check(x) {\n  if (x) throw new RangeError("not " + x)\n}')
      const threw = await bench.failure(kernel('f', "import { check } from 'lib'\nfunction f(x) { check(x) }"), [1])
      expect(threw).toMatchObject({ code: 'KERNEL_THREW', kernel: 'f', module: 'lib', line: 2 })
      expect(threw.message).toContain("RangeError: not 1 (line 2 of 'lib')")
    })
  })

  describe('arguments', () => {
    it('come as they are', async () => {
      const args = ['ü😀\0\ud800', 1.5, -0.001, true, null, ['a', [1]], { a: { b: [] }, $gm: 'x', __proto__x: 1 }]
      expect(await bench.value(kernel('f', 'function f(...args) { return done(args) }'), args)).toEqual(args)
    })

    it('may be bytes, as may results', async () => {
      const bytes = Uint8Array.from({ length: 20_000 }, (_each, i) => i % 256)
      const source =
        'function f(x, y) { return done({ is: x instanceof Uint8Array, sum: x.reduce((a, b) => a + b), back: [x, y] }) }'
      const value = await bench.value(kernel('f', source), [bytes, { deep: [new Uint8Array(0)] }])
      expect(value).toEqual({
        is: true,
        sum: bytes.reduce((a, b) => a + b),
        back: [Buffer.from(bytes), { deep: [Buffer.alloc(0)] }],
      })
    })

    it('are read as declared where they are text from outside', async () => {
      const source =
        "export const params = ['string', 'number', 'json', 'bytes']\nfunction f(...args) { return done(args) }"
      const raw = { raw: [0, 1, 2, 3, 4] }
      const given = ['1', '2.5', '{"a":[1]}', 'ü', '3']
      const wanted = ['1', 2.5, { a: [1] }, Buffer.from('ü'), '3']
      expect(await bench.value(kernel('f', source), given, raw)).toEqual(wanted)
      expect(
        await bench.value(
          kernel('f', source),
          given.map((each) => Buffer.from(each)),
          raw,
        ),
      ).toEqual(wanted)
      expect(await bench.value(kernel('f', source, { params: ['json'] }), ['[1]'], { raw: [0] })).toEqual([[1]])
    })

    it('are text where nothing is declared', async () => {
      const source = 'function f(...args) { return done(args) }'
      expect(await bench.value(kernel('f', source), [Buffer.from('5'), '5'], { raw: [0, 1] })).toEqual(['5', '5'])
    })

    it.each([
      ['number', 'ten'],
      ['number', ''],
      ['json', '{a:1}'],
    ] as const)('are refused where they are no %s: %s', async (type, text) => {
      const error = await bench.failure(kernel('f', 'function f() {}', { params: [type] }), [text], { raw: [0] })
      expect(error).toMatchObject({
        code: 'KERNEL_ARGUMENT',
        kernel: 'f',
        message: expect.stringContaining('argument 1'),
      })
    })

    it('are followed by the context where a parameter is called so', async () => {
      const now = Date.UTC(2026, 0, 2, 3, 4, 5, 6)
      const where = { step: 7, attempt: 2 }
      for (const source of [
        'function f(x, y, ctx) { return done([x, y, ctx]) }',
        '(x, y, ctx = 1) => done([x, y, ctx])',
      ]) {
        const f = kernel('f', source)
        const shown = { chain: 'c1', ...where, kernel: 'f', version: f.hash.slice(0, 12), now }
        expect(await bench.value(f, [1], where)).toEqual([1, null, shown])
      }
      expect(await bench.value(kernel('f', 'function f(ctx, x) { return done([ctx.step, x]) }'), [1], where)).toEqual([
        7, 1,
      ])
      expect(await bench.value(kernel('f', 'function f(x, y = 5) { return done([x, y]) }'), [1])).toEqual([1, 5])
    })
  })

  describe('results', () => {
    const run = (body: string) => bench.run(kernel('f', `function f() {\n${body}\n}`))

    it('end the chain with done()', async () => {
      expect((await run('return done({ a: [1, undefined], b: undefined, d: new Date(0) })')).follow).toEqual({
        kind: 'done',
        value: { a: [1, null], d: '1970-01-01T00:00:00.000Z' },
      })
      expect((await run('return done()')).follow).toEqual({ kind: 'done', value: null })
      expect((await run("return ''")).follow).toEqual({ kind: 'done', value: null })
    })

    it('name the next call', async () => {
      expect((await run("return next('g', '@img:1', 3, { a: 1 })")).follow).toEqual({
        kind: 'next',
        call: { name: 'g', args: ['@img:1', 3, { a: 1 }], afterMs: 0 },
      })
      expect((await run(`return 'g("say hi")'`)).follow).toEqual({
        kind: 'next',
        call: { name: 'g', args: ['say hi'], afterMs: 0 },
      })
    })

    it('carry writes, in order', async () => {
      const source = `return next('g').set('a', 'x').do('INCRBY', 'n', 2).set('b', { c: [1] }).do('RPUSH', 'l', new Uint8Array([0, 255]), 10n).set('t', true)`
      expect((await run(source)).writes).toEqual([
        ['SET', 'a', 'x'],
        ['INCRBY', 'n', '2'],
        ['SET', 'b', '{"c":[1]}'],
        ['RPUSH', 'l', Buffer.from([0, 255]), '10'],
        ['SET', 't', 'true'],
      ])
      expect((await run(`return 'g("x") SET [("k", "v"), ("l", 1)]'`)).writes).toEqual([
        ['SET', 'k', 'v'],
        ['SET', 'l', '1'],
      ])
      expect((await run(`return done(1).set('k', 1)`)).writes).toEqual([['SET', 'k', '1']])
    })

    it('wait for a time, a key, an event', async () => {
      const call = { name: 'g', args: [], afterMs: 0 }
      expect((await run("return next('g').after('5m')")).follow).toEqual({
        kind: 'next',
        call: { ...call, afterMs: 300_000 },
      })
      expect((await run("return next('g').after(250)")).follow).toEqual({
        kind: 'next',
        call: { ...call, afterMs: 250 },
      })
      expect((await run("return next('g').when({ key: 'k' })")).follow).toEqual({
        kind: 'next',
        call: { ...call, when: { key: 'k' } },
      })
      expect((await run("return next('g').when({ event: 'e' }).after('1s')")).follow).toEqual({
        kind: 'next',
        call: { ...call, afterMs: 1000, when: { event: 'e' } },
      })
    })

    it('fan out and join', async () => {
      const body = `return next.all([next('a', 1).set('x', 1), next('b').after('2s'), 'c("t") SET [("y", 2)]']).join('j', 'more').set('z', 3)`
      const { follow, writes } = await run(body)
      expect(follow).toEqual({
        kind: 'all',
        calls: [
          { name: 'a', args: [1], afterMs: 0 },
          { name: 'b', args: [], afterMs: 2000 },
          { name: 'c', args: ['t'], afterMs: 0 },
        ],
        join: { name: 'j', args: ['more'], afterMs: 0 },
      })
      expect(writes.map(([, key]) => key)).toEqual(['x', 'z', 'y'])
      expect((await run("return next.all([next('a')])")).follow).toMatchObject({ kind: 'all', calls: [{ name: 'a' }] })
      expect((await run("return next.all([]).join('j', 1)")).follow).toEqual({
        kind: 'next',
        call: { name: 'j', args: [[], 1], afterMs: 0 },
      })
      expect((await run('return next.all([])')).follow).toEqual({ kind: 'done', value: [] })
    })

    it.each([
      ['nothing', ''],
      ['a number', 'return 5'],
      ['a plain object', 'return { a: 1 }'],
      ['null', 'return null'],
      ['a text that is no call', "return 'hello'"],
      ['the function itself', 'return next'],
      ['a call without a name', 'return next()'],
      ['a function as a value', 'return done(() => 1)'],
      ['a Map', 'return done({ a: [new Map()] })'],
      ['NaN', 'return next("g", { x: NaN })'],
      ['a bigint', 'return done(10n)'],
      ['a symbol', 'return done(Symbol("s"))'],
      ['a call as a value', 'return done(next("g"))'],
      ['an error as a value', 'return done(new TypeError("x"))'],
      ['a time that is none', 'return next("g").after("soon")'],
      ['a wait for nothing', 'return next("g").when({})'],
      ['a wait behind the end', 'return done().after("1s")'],
      ['a join of one call', 'return next("g").join("h")'],
      ['a fan-out of texts that are no calls', 'return next.all(["x"])'],
      ['a fan-out of values', 'return next.all([1])'],
      ['a fan-out of fan-outs', 'return next.all([next.all([])])'],
      ['a write without a value', 'return done().set("k")'],
      ['a command without a name', 'return done().do()'],
      ['a command with an object', 'return done().do("SET", "k", {})'],
      ['bytes in JSON', 'return done().set("k", { a: new Uint8Array(1) })'],
    ])('are refused where they mean nothing: %s', async (_name, body) => {
      const error = await bench.failure(kernel('f', `function f() {\n${body}\n}`))
      expect(error).toMatchObject({ code: 'KERNEL_RESULT', kernel: 'f', chain: 'c1', step: 1 })
    })

    it('are refused with the way to what is wrong, and the line', async () => {
      const error = await bench.failure(
        kernel('f', 'function f() {\n\n  return next("g", 1, { list: [0, { x: NaN }] })\n}'),
      )
      expect(error).toMatchObject({ code: 'KERNEL_RESULT', line: 3 })
      expect(error.message).toBe('argument 2 of next().list[1].x is NaN, which is no JSON (line 3)')
    })

    it('are refused by the name of what they are, where it is', async () => {
      const message = async (value: string) =>
        (await bench.failure(kernel('f', `function f() { return done(${value}) }`))).message
      expect(await message('new Map([[1, 2]])')).toContain('the value of done() is a Map,')
      expect(await message('[1, { a: new Set([3]) }]')).toContain('the value of done()[1].a is a Set,')
      expect(await message('1).set("k", NaN')).toContain('bytes, not NaN')
    })

    it('are refused where they are nested in a circle, or too deeply', async () => {
      expect(await bench.failure(kernel('f', 'function f() { const a = {}; a.a = a; return done(a) }'))).toMatchObject({
        code: 'KERNEL_STACK',
      })
      const nested = (depth: number) =>
        kernel('f', `function f() { let a = 1; for (let i = 0; i < ${depth}; i++) a = [a]; return done(a) }`)
      expect(JSON.stringify(await bench.value(nested(199)))).toHaveLength(399)
      expect(await bench.failure(nested(201))).toMatchObject({ code: 'KERNEL_STACK' })
    })

    it('may use names that mean something elsewhere', async () => {
      const source = `const o = JSON.parse('{"__proto__": 1, "$gm": {"$gm": "x"}, "toString": 2, "then": 3}'); return done(o)`
      const { follow } = await run(source)
      expect(JSON.stringify(follow)).toBe(
        '{"kind":"done","value":{"__proto__":1,"$gm":{"$gm":"x"},"toString":2,"then":3}}',
      )
      const value = follow.kind === 'done' ? follow.value : null
      const again = await bench.value(kernel('f', 'function f(x) { return done(x) }'), [value])
      expect(JSON.stringify(again)).toBe(JSON.stringify(value))
    })
  })

  describe('failures', () => {
    it('say kernel, version, line and cause, and keep the log', async () => {
      const source =
        'function f(x) {\n  console.log("before", x)\n  _g()\n}\nfunction _g() {\n  throw new TypeError("bad")\n}'
      const f = kernel('f', source)
      const error = await bench.failure(f, [1], { step: 4 })
      expect(error).toMatchObject({
        name: 'KernelError',
        code: 'KERNEL_THREW',
        message: "'f' threw TypeError: bad (line 6)",
        kernel: 'f',
        version: f.hash,
        chain: 'c1',
        step: 4,
        line: 6,
        module: undefined,
        log: [{ level: 'info', text: 'before 1' }],
        cause: { name: 'TypeError', message: 'bad' },
      })
      expect(error.stack).toContain('f:6:')
    })

    it.each([
      ['a text', 'throw "words"', 'words'],
      ['nothing', 'throw undefined', 'undefined'],
      ['an object', 'throw { message: "own" }', 'own'],
      ['null', 'throw null', 'null'],
    ])('come from whatever is thrown: %s', async (_name, body, text) => {
      const error = await bench.failure(kernel('f', `function f() { ${body} }`))
      expect(error).toMatchObject({ code: 'KERNEL_THREW', message: expect.stringContaining(text) })
    })

    it('come from promises', async () => {
      const source = 'async function f() {\n  await null\n  throw new RangeError("late")\n}'
      expect(await bench.failure(kernel('f', source))).toMatchObject({ code: 'KERNEL_THREW', line: 3 })
    })

    it('come from the source while it is loaded', async () => {
      const source = 'function f() {}\nconst a = null\na.b()'
      expect(await bench.failure(kernel('f', source))).toMatchObject({ code: 'KERNEL_THREW', line: 3 })
    })

    it('come from recursion that does not end', async () => {
      const error = await bench.failure(kernel('f', 'function f(x) { return f(x) + 1 }'))
      expect(error).toMatchObject({ code: 'KERNEL_STACK', kernel: 'f' })
    })

    it.each([
      ['Symbol("s")', 'Symbol(s)'],
      ['null', 'null'],
      ['undefined', 'undefined'],
      ['{ a: 1 }', '{"a":1}'],
      ['Object.create(null)', '{}'],
      ['{ toJSON() { throw 1 }, toString() { throw 2 } }', 'a value (object) that cannot be shown'],
      ['Object.defineProperty(new Error(), "message", { get() { throw 1 } })', 'Error'],
      ['new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 } })', 'a value (object) that cannot be shown'],
      ['Object.assign(new Error("odd"), { name: 5, stack: 7, cause: 8 })', 'odd'],
      ['Object.assign(() => 1, { toString() { throw 2 } })', 'a value (function) that cannot be shown'],
    ])('come from whatever is thrown: %s', async (thrown, message) => {
      const threw = { code: 'KERNEL_THREW', message: expect.stringContaining(`'f' threw ${message}`) }
      expect(await bench.failure(kernel('f', `function f() { throw ${thrown} }`))).toMatchObject(threw)
      const later = kernel('f', `async function f() { await null; throw ${thrown} }`)
      expect(await bench.failure(later)).toMatchObject(threw)
    })

    it('carry class, code and causes of what was thrown', async () => {
      const source =
        "function f() { throw Object.assign(new RangeError('far', { cause: new TypeError('near', { cause: { why: 1 } }) }), { code: 'E_FAR' }) }"
      const { cause } = await bench.failure(kernel('f', source))
      expect(cause).toBeInstanceOf(RangeError)
      expect(cause).toMatchObject({ message: 'far', code: 'E_FAR', cause: { message: 'near' } })
      expect((cause as Error).cause).toBeInstanceOf(TypeError)
      expect((cause as Error).cause).toMatchObject({ cause: { message: '{"why":1}' } })
    })

    it('are cut where they are long', async () => {
      const { message, cause } = await bench.failure(kernel('f', "function f() { throw new Error('x'.repeat(1e6)) }"))
      expect(message.length).toBeLessThan(5000)
      expect((cause as Error).message.length).toBeLessThan(5000)
    })

    it('come from promises that nothing settles', async () => {
      for (const source of [
        'async function f() { await new Promise(() => {}) }',
        'function f() { return { then(settle) { settle({ then() {} }) } } }',
      ]) {
        const error = await bench.failure(kernel('f', source, { timeoutMs: 50 }))
        expect(error.code).toBe(trusted ? 'KERNEL_TIMEOUT' : 'KERNEL_RESULT')
      }
    })
  })

  describe('the console', () => {
    it('goes to the log of the step, with its levels', async () => {
      const source = `function f() {
        console.log('a', 1, { b: [true] }, null, undefined)
        console.info('i'); console.warn('w'); console.error(new TypeError('e')); console.debug('d')
        return done()
      }`
      expect((await bench.run(kernel('f', source))).log).toEqual([
        { level: 'info', text: 'a 1 {"b":[true]} null undefined' },
        { level: 'info', text: 'i' },
        { level: 'warn', text: 'w' },
        { level: 'error', text: 'TypeError: e' },
        { level: 'debug', text: 'd' },
      ])
    })

    it('takes whatever is printed', async () => {
      const odd = 'new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 } })'
      const { log } = await bench.run(kernel('f', `function f() { console.log(${odd}, 'x'); return done() }`))
      expect(log).toEqual([{ level: 'info', text: 'an object (Object) x' }])
    })

    it('belongs to one step, also where steps overlap', async () => {
      const f = kernel('f', 'async function f(x) { console.log(x); await null; console.log(x + 1); return done() }')
      const outcomes = await Promise.all([10, 20, 30].map((x) => bench.run(f, [x])))
      expect(outcomes.map(({ log }) => log.map(({ text }) => text))).toEqual([
        ['10', '11'],
        ['20', '21'],
        ['30', '31'],
      ])
    })

    it('has room for so much', async () => {
      const source =
        'function f() { for (let i = 0; i < 5000; i++) console.log("line", i); console.log("x".repeat(100000)); return done() }'
      const { log } = await bench.run(kernel('f', source))
      expect(log).toHaveLength(1001)
      expect(log.at(-1)).toMatchObject({ level: 'warn', text: expect.stringContaining('lines') })
      const long = await bench.run(kernel('f', 'function f() { console.log("x".repeat(100000)); return done() }'))
      expect(long.log[0]?.text.length).toBeLessThan(10_000)
    })
  })
})
