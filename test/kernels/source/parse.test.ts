// Sources that are made to hold or to break who reads them.
import { expect, it } from 'vitest'
import { KernelError } from '../../../src/errors.ts'
import { readModule } from '../../../src/kernels/source/module.ts'

function refusalOf(source: string): KernelError {
  try {
    readModule('f', source)
  } catch (error) {
    if (error instanceof KernelError) return error
    throw error
  }
  throw new RangeError('the source was read')
}

const typed = 'export function f(x: number): unknown { return done(x) }'
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)

it.each([
  ['JavaScript', `const a = ${nested(100_000)}; function f() {}`],
  ['TypeScript', `const a: unknown = ${nested(100_000)}; function f() {}`],
  ['types', `type A = ${'Array<'.repeat(50_000)}1${'>'.repeat(50_000)}; function f() {}`],
  ['a sum', `const a: number = ${'1+'.repeat(200_000)}1; function f() {}`],
])('refuses %s that is nested too deeply, and reads the next source', (_, source) => {
  expect(refusalOf(source)).toMatchObject({ code: 'KERNEL_SYNTAX', message: expect.stringContaining('too deeply') })
  expect(readModule('f', typed)).toMatchObject({ hasEntry: true })
  expect(refusalOf('enum A { x }\nfunction f() {}')).toMatchObject({ message: expect.stringMatching(/enum.*line 1/) })
})

it('refuses more names in one scope than can be told apart in a short time', () => {
  const names = Array.from({ length: 160_000 }, (_, i) => `a${i.toString(36)}`)
  const error = refusalOf(`let ${names.join()}\nfunction f() {}`)
  expect(error).toMatchObject({ code: 'KERNEL_SYNTAX', message: expect.stringContaining('too many names') })
  const blocks = `${'{'.repeat(500)} var ${names.slice(0, 20_000).join()} ${'}'.repeat(500)}\nfunction f() {}`
  expect(refusalOf(blocks)).toMatchObject({ message: expect.stringContaining('too many names') })
  const bundle = names.slice(0, 8000).map((name) => `function ${name}(x) { var y = x, z = y; return z }`)
  expect(readModule('f', `${bundle.join('\n')}\nexport default a0`)).toMatchObject({ hasEntry: true })
})

it('refuses regular expressions that take long to read', () => {
  const groups = Array.from({ length: 40_000 }, () => '(?<a>x)').join('|')
  expect(refusalOf(`const a = /${groups}/\nfunction f() {}`)).toMatchObject({
    code: 'KERNEL_SYNTAX',
    message: expect.stringContaining('regular expressions'),
  })
  const letters = `const a = /[${'\\p{L}'.repeat(5000)}]/u\n`
  expect(refusalOf(`function f() { ${letters.repeat(40)} }`)).toMatchObject({ code: 'KERNEL_SYNTAX' })
  expect(readModule('f', `${letters}function f() {}`)).toMatchObject({ hasEntry: true })
})
