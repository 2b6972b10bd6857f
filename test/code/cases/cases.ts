// What shipped functions may look like. Each case is captured in one process (built in many ways) and run in another: `use` gets the
// values of `roots`, and must return `expected` there.
import * as acorn from 'acorn'
import { Command } from 'commander'
import { EventEmitter } from 'node:events'
import fs, { readFileSync } from 'node:fs'
import * as path from 'node:path'
import quadruple, { Base, path as localPath, settings, triple } from './local-module.ts'
import * as local from './local-module.ts'

export interface Case {
  readonly name: string
  readonly roots: readonly unknown[]
  readonly use: (...roots: never[]) => unknown
  readonly expected: unknown
}

export const cases: Case[] = []

function add<const Roots extends readonly unknown[]>(
  name: string,
  roots: Roots,
  use: (...roots: Roots) => unknown,
  expected: unknown,
): void {
  cases.push({ name, roots, use, expected })
}

const offset = 7
const nested = { a: { b: [1, { c: 'deep' }] } } as const
add('an arrow without variables', [(n: number) => n * 2], (f) => f(21), 42)
add('a module-level constant', [(n: number) => n + offset], (f) => f(1), 8)
add('a captured object', [() => nested.a.b[1].c], (f) => f(), 'deep')

function outer(): { add: (n: number) => void; get: () => number } {
  let sum = 0
  return { add: (n) => void (sum += n), get: () => sum }
}
const first = outer()
const second = outer()
add('a shared variable', [first.add, first.get], (put, get) => (put(2), put(3), get()), 5)
add(
  'two scopes with equal values',
  [first, second],
  (a, b) => (a.add(1), b.add(10), b.add(10), [a.get(), b.get()]),
  [1, 20],
)

function tally(): (() => number)[] {
  let total = 0
  const made = [1, 2].map((n) => () => (total += n))
  for (const n of [10, 20]) made.push(() => (total += n))
  return made
}
add('functions made in a loop that share a variable', [tally()], (all) => all.map((each) => each()), [1, 3, 13, 33])

let counter = 10
const increase = (): number => ++counter
const current = (): { counter: number } => ({ counter })
function setBoth(): number {
  ;[counter] = [counter + 100]
  ;({ counter = 5 } = { counter: counter + 1 })
  for (counter of [counter * 2]);
  return counter
}
add('a module-level variable', [increase, current, setBoth], (i, c, s) => [i(), c(), s(), c()], [
  11,
  { counter: 11 },
  224,
  { counter: 224 },
])

let callback = (n: number): number => n
const call = (n: number): number => callback(n)
const replace = (): void => void (callback = (n) => n * 5)
add('a variable that holds a function', [call, replace], (c, r) => [c(2), r(), c(2)], [2, undefined, 10])

const fib = (n: number): number => (n < 2 ? n : fib(n - 1) + fib(n - 2))
function isEven(n: number): boolean {
  return n === 0 || isOdd(n - 1)
}
function isOdd(n: number): boolean {
  return n !== 0 && isEven(n - 1)
}
add('recursion', [fib], (f) => f(10), 55)
add('mutual recursion', [isEven], (f) => [f(10), f(7)], [true, false])

add(
  'imports of a local module',
  [() => [triple(2), quadruple(2), settings.limits, local.factor, localPath('a')]],
  (f) => f(),
  [6, 8, [1, 2], 3, 'root/a'],
)
add(
  'node builtins',
  [(text: string) => [path.basename(text), typeof readFileSync, typeof fs.statSync]],
  (f) => f('/a/b'),
  ['b', 'function', 'function'],
)
add(
  'an import of JSON while running',
  // Resolved where it runs, and so by no compiler.
  [
    async (file: string) =>
      ((await import(file, { with: { type: 'json' } })) as { default: { name: string } }).default.name,
  ],
  (f) => f('acorn/package.json'),
  'acorn',
)
add('an npm package', [(code: string) => acorn.parse(code, { ecmaVersion: 2022 }).type], (f) => f('1 + 1'), 'Program')
add('a CommonJS package', [() => new Command('x').name()], (f) => f(), 'x')
add(
  'a dynamic import',
  [async () => (await import('node:path')).sep + typeof (await import('acorn')).parse],
  (f) => f(),
  '/function',
)

const key = Symbol.for('gearmill.test')
const computedKey = 'computed'
class Animal {
  static count = 0
  static registry = new Map<string, number>([['cat', 1]])
  static {
    Animal.count = 40
  }
  static make(name: string): Animal {
    Animal.count++
    return new this(name)
  }
  readonly name: string
  sound = '...'
  constructor(name: string) {
    this.name = name
  }
  get loud(): string {
    return this.sound.toUpperCase()
  }
  set loud(value: string) {
    this.sound = value
  }
  [computedKey](): string {
    return 'by a computed key'
  }
  *[Symbol.iterator](): Generator<string> {
    yield this.name
  }
  speak(): string {
    return `${this.name} ${this.sound}`
  }
}
class Dog extends Animal {
  override sound = 'woof'
  override speak(): string {
    return `${super.speak()}!`
  }
  clone(): Dog {
    return new Dog(this.name)
  }
}
class Named extends Base {
  override greet(): string {
    return `${super.greet()} again`
  }
}
class Failure extends Error {
  readonly code: number
  constructor(code: number) {
    super(`code ${code}`)
    this.code = code
  }
}
class Stack extends Array<number> {
  top(): number | undefined {
    return this.at(-1)
  }
}
class Hidden {
  #secret = 1
  static readonly isOne = (): boolean => true
  next(): number {
    return ++this.#secret
  }
}
class Emitter extends EventEmitter {}
class Program extends Command {}
add(
  'a class',
  [Animal],
  (A) => {
    const cat = A.make('cat')
    cat.loud = 'meow'
    return [A.count, A.registry.get('cat'), cat.loud, cat.speak(), [...cat], cat[computedKey]()]
  },
  [41, 1, 'MEOW', 'cat meow', ['cat'], 'by a computed key'],
)
add(
  'a derived class',
  [Dog],
  (D) => {
    const dog = new D('rex')
    return [dog.speak(), dog.clone() instanceof D, D.make('x').speak(), Object.getPrototypeOf(D).count]
  },
  ['rex woof!', true, 'x woof!', 41],
)
add('a class with an imported parent', [Named], (N) => new N('x').greet(), 'hello x again')
add('an error class', [Failure], (F) => [new F(3).message, new F(3).code, new F(3) instanceof Error], [
  'code 3',
  3,
  true,
])
add('a class with #private fields', [Hidden], (H) => [new H().next(), H.isOne()], [2, true])
add(
  'a class with a builtin parent',
  [Stack, Emitter],
  (S, E) => [(S.from([1, 2]) as Stack).top(), new E().on('x', () => 1).emit('x')],
  [2, true],
)
add('a class with a package parent', [Program], (P) => new P('p').name(), 'p')
add(
  'class instances',
  [new Dog('rex'), new Failure(9), Stack.of(1, 2, 3) as Stack],
  (dog, failure, stack) => {
    return [dog.speak(), failure instanceof Error, failure.code, failure.message, stack.top(), stack.length]
  },
  ['rex woof!', true, 9, 'code 9', 3, 3],
)

function keyed(): new () => Record<string, () => number> {
  const own = 'computed by a name that nothing else uses'
  const parent = class {}
  return class extends parent {
    [own](): number {
      return 1
    }
    static [`${own}!`](): number {
      return 2
    }
  } as unknown as new () => Record<string, () => number>
}
add(
  'a class whose names are gone',
  [keyed()],
  (C) => Object.getOwnPropertyNames(C.prototype)[1],
  'computed by a name that nothing else uses',
)

interface Link {
  name: string
  next?: Link
}
const cycle: Link = { name: 'a' }
cycle.next = { name: 'b', next: cycle }
const shared = { n: 1 }
const floats = new Float64Array([1.5, 2.5, 3.5])
add('cycles and shared references', [cycle, [shared, shared]], (c, [x, y]) => [c.next?.next === c, x === y], [
  true,
  true,
])
add(
  'containers',
  [new Map([['k', new Set([1, 2])]]), new Date(5), /a(b)/gi],
  (m, d, r) => {
    return [m.get('k')?.has(2), d.getTime(), r.source + r.flags, 'xAB'.replace(r, '-')]
  },
  [true, 5, 'a(b)gi', 'x-'],
)
add(
  'bytes',
  [floats, floats.subarray(1), Buffer.from('hello'), new Uint8Array([1, 2]).buffer, new DataView(new ArrayBuffer(4))],
  (a, b, c, d, e) => {
    a[1] = 9
    return [b[0], String(c), Buffer.isBuffer(c), d.byteLength, e.byteLength, a instanceof Float64Array]
  },
  [9, 'hello', true, 2, 4, true],
)
const sparse = new Array<number>(3).fill(1, 2)
add(
  'odd values',
  [undefined, null, NaN, -0, Infinity, 12n, key, Symbol.iterator, sparse],
  (...all) => {
    const [u, n, nan, zero, infinity, big, registered, known, holes] = all
    const isSame = registered === Symbol.for('gearmill.test') && known === Symbol.iterator
    return [
      u,
      n,
      Number.isNaN(nan),
      Object.is(zero, -0),
      infinity === 1 / 0,
      big === 12n,
      isSame,
      1 in holes,
      holes.length,
    ]
  },
  [undefined, null, true, true, true, true, true, false, 3],
)
add(
  'errors',
  [new TypeError('wrong', { cause: new Error('inner') })],
  (e) => {
    return [e instanceof TypeError, e.message, e.cause instanceof Error && e.cause.message, typeof e.stack]
  },
  [true, 'wrong', 'inner', 'string'],
)
add(
  'URLs and text codecs',
  [new URL('http://a/b?c=1'), new URLSearchParams('x=1'), new TextDecoder(), new TextEncoder()],
  (u, s, d, e) => {
    return [u.searchParams.get('c'), s.get('x'), d.decode(e.encode('é'))]
  },
  ['1', '1', 'é'],
)
add(
  'formatters',
  [new Intl.NumberFormat('en', { minimumFractionDigits: 2 }), new Intl.Collator('de')],
  (n, c) => [n.format(1234.5), c.compare('ä', 'b')],
  ['1,234.50', -1],
)
add(
  'frozen objects and getters',
  [
    Object.freeze({ x: 1 }),
    {
      get two() {
        return 2
      },
    },
  ],
  (o, g) => [Object.isFrozen(o), o.x, g.two],
  [true, 1, 2],
)
add(
  'objects without a prototype',
  [Object.assign(Object.create(null) as { x?: number }, { x: 1 })],
  (o) => [Object.getPrototypeOf(o), o.x],
  [null, 1],
)

function greet(this: { name: string }, greeting: string, mark = '!'): string {
  return `${greeting} ${this.name}${mark}`
}
const toolbox = {
  base: 10,
  add(n: number): number {
    return this.base + n
  },
  async later(n: number): Promise<number> {
    return this.add(n)
  },
  *each(): Generator<number> {
    yield this.base
  },
  get double(): number {
    return this.base * 2
  },
}
add('bound functions', [greet.bind({ name: 'x' }, 'hi')], (f) => f('?'), 'hi x?')
add('an object with methods', [toolbox], async (t) => [t.add(1), await t.later(2), [...t.each()], t.double], [
  11,
  12,
  [10],
  20,
])
const alone: (this: { base: number }, n: number) => number = Reflect.get(toolbox, 'add')
add('methods by themselves', [alone], (f) => f.call({ base: 1 }, 1), 2)
add(
  'generators and async functions',
  [
    function* (n: number) {
      yield* [n, n + 1]
    },
    async (n: number) => n,
    async function* () {
      yield 1
    },
  ],
  async (g, a, ag) => {
    const all: unknown[] = [...g(1), await a(5)]
    for await (const each of ag()) all.push(each)
    return all
  },
  [1, 2, 5, 1],
)
const counted = Object.assign((n: number): number => n + counted.calls++, { calls: 5 })
add('a function with properties', [counted], (f) => [f(1), f(1), f.calls], [6, 7, 7])
add(
  'default and destructured parameters',
  [({ a = offset, ...rest }: { a?: number; b?: number }, [x] = [a]) => [a, x, rest.b]],
  (f) => f({ b: 2 }),
  [7, 7, 2],
)
const tag = (strings: TemplateStringsArray, ...values: unknown[]): string => strings.raw.join('|') + values.join()
add('template tags', [(n: number) => tag`a${n}b\n`], (f) => f(3), 'a|b\\n3')
add(
  'names',
  [fib, isEven, Failure, [fib.name, isEven.name, Failure.name]],
  (f, g, F, names) => [f.name === names[0], g.name === names[1], new F(1).constructor.name === names[2]],
  [true, true, true],
)
add('globals', [() => [typeof process.pid, Math.max(1, 2), structuredClone({ a: 1 }), typeof fetch]], (f) => f(), [
  'number',
  2,
  { a: 1 },
  'function',
])
const { max } = Math
const print = console.log
add(
  'builtin functions as values',
  [max, print, Array.prototype.map, Map],
  (m, p, map, M) => [m(1, 5), typeof p, map.call([1], String), new M().size],
  [5, 'function', ['1'], 0],
)
add(
  'a name that may not exist',
  [() => (typeof window === 'undefined' ? 'no window' : 'window')],
  (f) => f(),
  'no window',
)
declare const window: unknown

function makeAdder(n: number): (m: number) => number {
  const inner = { n }
  return function add(m: number): number {
    return inner.n + m + offset
  }
}
const adders = [1, 2, 3].map(makeAdder)
add('closures of one function with different variables', [adders], (all) => all.map((f) => f(0)), [8, 9, 10])
function OldStyle(this: { n: number }, n: number): void {
  this.n = n
}
OldStyle.prototype.twice = function (this: { n: number }): number {
  return this.n * 2
}
add(
  'constructor functions',
  [OldStyle as unknown as new (n: number) => { twice(): number }],
  (O) => new O(4).twice(),
  8,
)
add(
  'nested functions',
  [
    (n: number) => {
      let k = n
      const up = (): number => ++k
      class Inner {
        v = up()
      }
      return [new Inner().v, up(), k]
    },
  ],
  (f) => f(1),
  [2, 3, 3],
)

// Lines are counted from the function's first.
function failOnLine(which: number): number {
  const stack = (): string => new Error('here').stack ?? ''
  let found = ''
  if (which === 3) found = stack()

  if (which === 5) {
    found = [
      'a',
      stack(), // eight lines below the first
    ].join()
  }
  if (which === 11) found = stack()
  // The first frame is `stack` itself.
  const lines = [...found.matchAll(/at .*cases\.ts:(\d+):\d+\)?$/gm)]
  return Number(lines[1]?.[1])
}
const thisLine = Number(/cases\.(?:ts|js|mjs):(\d+)/.exec(new Error('here').stack ?? '')?.[1])
cases.push({
  name: 'lines in stacks',
  roots: [failOnLine],
  use: (fail: typeof failOnLine) => {
    const at = [3, 5, 11].map((line) => fail(line))
    return at.map((line) => line - (at[0] ?? 0))
  },
  expected: [0, 5, 8],
})
cases.push({
  name: 'the line itself',
  roots: [failOnLine],
  use: (fail: typeof failOnLine) => fail(3),
  expected: thisLine - 13,
})
