// vitest gives imports other names where a file mocks modules: they are found all the same.
import { basename } from 'node:path'
import { expect, test, vi } from 'vitest'
import * as acorn from 'acorn'
import { captureCode } from '../../src/code/capture.ts'
import { loadCode } from '../../src/code/load.ts'
import quadruple, { triple } from './cases/local-module.ts'

vi.mock('node:os')

test('imports of a file with mocks', async () => {
  const f = (n: number): unknown => [quadruple(n), triple(n), basename('/a/b'), typeof acorn.parse]
  const { bytes, packages } = captureCode([{ value: f, label: 'f' }])
  expect(Object.keys(packages)).toEqual(['acorn'])
  const [loaded] = await loadCode(bytes, { known: new Map(), base: import.meta.url })
  expect((loaded as typeof f)(1)).toEqual([4, 3, 'b', 'function'])
})
