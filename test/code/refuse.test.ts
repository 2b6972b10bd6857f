// What cannot travel is refused when it is captured, with a code and the path of names that led to it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, Socket } from 'node:net'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { captureCode } from '../../src/code/capture.ts'
import { CaptureError } from '../../src/errors.ts'

function refusal(value: unknown, label = 'filter(...) at app.ts:12'): CaptureError {
  try {
    captureCode([{ value, label }])
  } catch (error) {
    if (error instanceof CaptureError) return error
    throw error
  }
  throw new Error('it was captured')
}

test('a socket, with the path to it', () => {
  const db = new Socket()
  const config = { pool: { socket: db } }
  const helper = (): unknown => db
  expect(refusal(() => db)).toMatchObject({
    code: 'CAPTURE_UNSUPPORTED',
    message: "cannot ship 'db' (captured by filter(...) at app.ts:12): a live Socket",
    hint: expect.stringContaining('onWorker') as string,
  })
  expect(refusal(() => config).message).toContain("'config.pool.socket' (captured by")
  expect(refusal(() => helper()).message).toContain("'helper > db' (captured by")
  expect(refusal({ db }, 'with(...) at app.ts:3').message).toContain(
    "cannot ship 'db' (captured by with(...) at app.ts:3)",
  )
  expect(refusal([1, { 'odd key': db }]).message).toContain(`'[1]["odd key"]'`)
})

test('a child process and a server', async () => {
  const child = spawn(process.execPath, ['-e', ''])
  const exited = once(child, 'exit')
  expect(refusal(() => child).message).toContain('a live ChildProcess')
  await exited
  const server = createServer()
  expect(refusal(() => server).message).toContain('a live Server')
})

const generator = (function* (): Generator<number> {
  yield 1
})()
const timer = setTimeout(() => undefined, 0)
clearTimeout(timer)

test.each([
  ['a stream', new Readable(), 'a live Readable'],
  ['a timer', timer, 'a live Timeout'],
  ['a promise', Promise.resolve(1), 'a live Promise'],
  ['a proxy', new Proxy({}, {}), 'a Proxy'],
  ['a WeakMap', new WeakMap(), 'a live WeakMap'],
  ['a WeakSet', new WeakSet(), 'a live WeakSet'],
  ['a WeakRef', new WeakRef({}), 'a live WeakRef'],
  ['a generator', generator, 'a live generator'],
  ['an iterator', new Map().keys(), 'a live iterator'],
  ['a unique symbol', Symbol('mine'), 'the unique Symbol(mine)'],
  ['shared memory', new SharedArrayBuffer(8), 'a live SharedArrayBuffer'],
  ['an AbortSignal', new AbortController().signal, 'a live AbortSignal'],
])('%s', (_, thing, why) => {
  const error = refusal(() => thing)
  expect(error.code).toBe('CAPTURE_UNSUPPORTED')
  expect(error.message).toBe(`cannot ship 'thing' (captured by filter(...) at app.ts:12): ${why}`)
})

test('instances with #private fields', () => {
  class Account {
    #balance = 1
    get balance(): number {
      return this.#balance
    }
  }
  class Savings extends Account {}
  const account = new Savings()
  expect(refusal(() => account)).toMatchObject({
    code: 'CAPTURE_PRIVATE',
    message: expect.stringContaining(
      "'account' (captured by filter(...) at app.ts:12): an instance of Account",
    ) as string,
  })
  class Counted {
    static #count = 0
    static next(): number {
      return ++Counted.#count
    }
  }
  expect(refusal(() => Counted.next()).code).toBe('CAPTURE_PRIVATE')
})

class Owner {
  readonly factor = 2
  arrow = (n: number): number => n * this.factor
  nested(): () => number {
    return () => this.factor
  }
}
function withArguments(_first: number): () => number {
  return () => arguments.length
}

test.each([
  ['this', new Owner().arrow],
  ['this', new Owner().nested()],
  ['arguments', withArguments(1)],
])('%s of the place where the arrow was written', (word, arrow) => {
  const error = refusal(arrow)
  expect(error.code).toBe('CAPTURE_THIS')
  expect(error.message).toBe(
    `cannot ship filter(...) at app.ts:12: it uses \`${word}\` of the place where it was written`,
  )
})

test('import.meta', () => {
  expect(refusal(() => import.meta.url).code).toBe('CAPTURE_IMPORT_META')
})

test('names of CommonJS modules', () => {
  expect(refusal(() => __dirname).code).toBe('CAPTURE_IMPORT_META')
  expect(refusal(() => require('node:fs') as unknown).code).toBe('CAPTURE_IMPORT_META')
})

declare const nowhere: number
test('names that mean nothing', () => {
  expect(refusal(() => nowhere)).toMatchObject({
    code: 'CAPTURE_UNKNOWN',
    message:
      "cannot ship 'nowhere' (captured by filter(...) at app.ts:12): no variable of this name can be seen from it",
  })
})

test('a variable that has no value yet', () => {
  const early = (): number => later
  expect(refusal(early).code).toBe('CAPTURE_UNKNOWN')
  const later = 1
  expect(early()).toBe(1)
})

test('native functions without a name', () => {
  const { revoke } = Proxy.revocable({}, {})
  expect(refusal(() => revoke()).code).toBe('CAPTURE_SOURCE')
})

test('a dynamic import of a local module', () => {
  expect(refusal(async () => import('./cases/local-module.ts')).message).toContain('local-module.ts')
})
