import { describe, expect, it } from 'vitest'
import type { KernelSource } from '../../../src/kernels/step.ts'
import { signKernel } from '../../../src/kernels/trusted/sign.ts'
import { kernel as plainKernel, testBench } from '../step-bench.ts'

const kernel = (name: string, source: string, options: Partial<KernelSource> = {}): KernelSource =>
  plainKernel(name, source, { trusted: true, ...options })

const secret = 'a secret of some length'
const source = 'function f() { return done(1) }'

describe('trusted kernels', () => {
  it('run where they are signed, under their own name only', async () => {
    const bench = testBench({ secret })
    const signature = signKernel('f', source, secret)
    expect(await bench.value(kernel('f', source, { signature }))).toBe(1)
    const refused = [
      kernel('f', source),
      kernel('f', `${source} `, { signature }),
      kernel('g', source, { signature }),
      kernel('f', source, { signature: signKernel('f', source, 'another') }),
    ]
    for (const each of refused) expect(await bench.failure(each)).toMatchObject({ code: 'KERNEL_SIGNATURE' })
  })

  it('run unsigned where there is no secret, as all code does', async () => {
    expect(await testBench().value(kernel('f', source))).toBe(1)
  })

  it('need no signature in the sandbox', async () => {
    expect(await testBench({ secret }).value(plainKernel('f', source))).toBe(1)
  })

  it('import packages and modules of Node', async () => {
    const imports = "import { createHash } from 'node:crypto'\nimport { parse } from 'acorn'\nimport fs from 'fs'\n"
    const body =
      'return done([createHash("md5").update("x").digest("hex"), parse("1", { ecmaVersion: 5 }).type, typeof fs.readFileSync])'
    const value = await testBench().value(kernel('f', `${imports}function f() { ${body} }`))
    expect(value).toEqual(['9dd4e461268c8034f5c8564e155c67a6', 'Program', 'function'])
  })

  it('are refused where a package has no such export', async () => {
    const source = "import { nothingOfThatName } from 'node:fs'\nfunction f() { return done(typeof nothingOfThatName) }"
    const error = await testBench().failure(kernel('f', source))
    expect(error).toMatchObject({ code: 'KERNEL_IMPORT', message: expect.stringContaining('nothingOfThatName') })
  })

  it('import no source that is not trusted, which cannot take the place of a package either', async () => {
    const bench = testBench()
    bench.stored.set('lib', plainKernel('lib', 'export const a = 1'))
    bench.stored.set('acorn', plainKernel('acorn', 'export const parse = () => ({ type: "stolen" })'))
    const lib = await bench.failure(kernel('f', "import { a } from './lib'\nfunction f() { return done(a) }"))
    expect(lib).toMatchObject({ code: 'KERNEL_IMPORT', line: 1 })
    const acorn = "import { parse } from 'acorn'\nfunction f() { return done(parse('1', { ecmaVersion: 5 }).type) }"
    expect(await bench.value(kernel('f', acorn))).toBe('Program')
  })

  it('may be imported into the sandbox, with no more rights than others', async () => {
    const bench = testBench()
    bench.stored.set('lib', kernel('lib', 'export const seen = typeof process'))
    const importing = "import { seen } from 'lib'\nfunction f() { return done(seen) }"
    expect(await bench.value(plainKernel('f', importing))).toBe('undefined')
  })

  it('keep what they made while they were loaded', async () => {
    const bench = testBench()
    const counting = kernel('f', 'let count = 0\nfunction f() { return done(++count) }')
    expect([await bench.value(counting), await bench.value(counting)]).toEqual([1, 2])
  })

  it('are seen coming and going', async () => {
    const seen: string[] = []
    const bench = testBench({
      watch: { enters: ({ name }) => void seen.push(`+${name}`), leaves: ({ name }) => void seen.push(`-${name}`) },
    })
    await bench.value(kernel('f', source))
    await bench.failure(kernel('g', 'async function g() { await null; throw 1 }'))
    await bench.value(plainKernel('h', 'function h() { return done() }'))
    expect(seen).toEqual(['+f', '-f', '+g', '-g'])
  })
})
