// Loading: the same values in the same order, signatures, packages, names of the executor.
import { pathToFileURL } from 'node:url'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as acorn from 'acorn'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { captureCode, type CapturedCode } from '../../src/code/capture.ts'
import { checkPackages, loadCode } from '../../src/code/load.ts'
import { isOnWorker, onWorker } from '../../src/code/resource.ts'
import { CaptureError } from '../../src/errors.ts'

const base = import.meta.url
const capture = (...values: unknown[]): CapturedCode =>
  captureCode(values.map((value, at) => ({ value, label: `value ${at}` })))
const load = (code: CapturedCode, known: ReadonlyMap<string, unknown> = new Map()): Promise<readonly unknown[]> =>
  loadCode(code.bytes, { known, base })
async function shipped<F>(value: F): Promise<F> {
  const [loaded] = await load(capture(value))
  return loaded as F
}

describe('hashes', () => {
  const factor = { n: 1 }
  const scale = (n: number): number => n * factor.n
  test('stay the same for the same functions and values', () => {
    expect(capture(scale).hash).toBe(capture(scale).hash)
    expect(capture(scale).hash).toMatch(/^[0-9a-f]{64}$/)
  })
  test('differ for other values', () => {
    const before = capture(scale).hash
    factor.n = 2
    expect(capture(scale).hash).not.toBe(before)
  })
})

test('each load has variables of its own', async () => {
  let n = 0
  const next = (): number => ++n
  const peek = (): number => n
  const code = capture(next, peek)
  const [a, b] = (await load(code)) as [typeof next, typeof peek]
  const [c] = (await load(code)) as [typeof next]
  expect([a(), a(), b(), c(), peek()]).toEqual([1, 2, 2, 1, 0])
})

test('known objects travel by name', async () => {
  const mill = { redis: { hGet: () => Promise.resolve('x') } }
  const code = captureCode(
    [
      { value: () => mill, label: 'map' },
      { value: mill, label: 'with' },
    ],
    {
      known: new Map([[mill, 'mill']]),
    },
  )
  const there = { redis: {} }
  const [f, value] = await load(code, new Map([['mill', there]]))
  expect((f as () => unknown)()).toBe(there)
  expect(value).toBe(there)
  await expect(load(code)).rejects.toMatchObject({ code: 'CAPTURE_LOAD' })
})

test('resources are recipes, and functions of Gearmill are those of the executor', async () => {
  const recipe = await shipped(onWorker(() => 5))
  expect(isOnWorker(recipe) && recipe.make()).toBe(5)
  expect(await shipped(onWorker)).toBe(onWorker)
  expect((await shipped(() => CaptureError))()).toBe(CaptureError)
})

describe('signatures', () => {
  const roots = [{ value: (n: number) => n + 1, label: 'f' }]
  const signed = captureCode(roots, { secret: 'one' })
  const options = { known: new Map<string, unknown>(), base }
  test('of the same secret are accepted', async () => {
    const [f] = await loadCode(signed.bytes, { ...options, secret: 'one' })
    expect((f as (n: number) => number)(1)).toBe(2)
  })
  test('are not asked for without a secret', async () => {
    await expect(loadCode(signed.bytes, options)).resolves.toHaveLength(1)
  })
  test.each([
    ['missing', captureCode(roots).bytes],
    ['of another secret', captureCode(roots, { secret: 'two' }).bytes],
    ['of other bytes', signed.bytes.map((byte, at) => (at === signed.bytes.length - 3 ? byte ^ 1 : byte))],
    ['with the flag removed', signed.bytes.map((byte, at) => (at === 4 ? 0 : byte))],
  ])('%s are refused', async (_, bytes) => {
    await loadCode(captureCode(roots).bytes, options)
    await expect(loadCode(bytes, { ...options, secret: 'one' })).rejects.toMatchObject({ code: 'CAPTURE_SIGNATURE' })
  })
  test('and damaged code is no crash', async () => {
    await expect(loadCode(new Uint8Array(3), options)).rejects.toMatchObject({ code: 'CAPTURE_LOAD' })
    await expect(loadCode(signed.bytes.subarray(0, 80), options)).rejects.toMatchObject({ code: 'CAPTURE_LOAD' })
  })
})

describe('packages', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gearmill-code-'))
    await mkdir(join(folder, 'old/node_modules/acorn'), { recursive: true })
    await writeFile(join(folder, 'old/node_modules/acorn/package.json'), '{"name":"acorn","version":"7.1.0"}')
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  const code = capture((text: string) => acorn.parse(text, { ecmaVersion: 2022 }).type)
  test('are named with the version seen', () => {
    expect(Object.keys(code.packages)).toEqual(['acorn'])
    expect(code.packages['acorn']).toMatch(/^8\./)
    expect(capture(() => 1).packages).toEqual({})
  })
  test('that are missing are refused by name', async () => {
    const place = pathToFileURL(`${folder}/`).href
    await expect(loadCode(code.bytes, { known: new Map(), base: place })).rejects.toMatchObject({
      code: 'CAPTURE_PACKAGE',
      message: expect.stringContaining("package 'acorn'") as string,
    })
    expect(checkPackages(code.packages, place)).toEqual([
      `package 'acorn' (${code.packages['acorn']}) is not installed`,
    ])
  })
  test('of another major version are refused with both', async () => {
    const place = pathToFileURL(join(folder, 'old/main.mjs')).href
    await expect(loadCode(code.bytes, { known: new Map(), base: place })).rejects.toMatchObject({
      code: 'CAPTURE_PACKAGE',
      message: expect.stringMatching(/'acorn' is 7\.1\.0.*written for 8\./) as string,
    })
  })
  test('that are there are no problem', () => {
    expect(checkPackages(code.packages, base)).toEqual([])
  })
  test('imported when a function runs are found from the same place', async () => {
    const name = 'acorn'
    const parse = await shipped(
      async (text: string) => ((await import(name)) as typeof acorn).parse(text, { ecmaVersion: 2022 }).type,
    )
    expect(await parse('1')).toBe('Program')
    const missing = await shipped(async () => import(['no', 'such', 'package'].join('-')))
    await expect(missing()).rejects.toMatchObject({ code: 'CAPTURE_PACKAGE' })
  })
})

test('a long list does not end the stack', async () => {
  interface Link {
    next: Link | undefined
  }
  let list: Link = { next: undefined }
  for (let i = 0; i < 50_000; i++) list = { next: list }
  const length = await shipped(() => {
    let n = 0
    for (let at: Link | undefined = list; at; at = at.next) n++
    return n
  })
  expect(length()).toBe(50_001)
})
