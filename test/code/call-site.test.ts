import { expect, test } from 'vitest'
import { callSite } from '../../src/code/call-site.ts'

test('names the line that called', () => {
  const site = callSite()
  expect(site.label).toBe('test/code/call-site.test.ts:5')
  expect(site.file).toBe(import.meta.filename)
  expect(site.stack.split('\n')[0]).toContain('call-site.test.ts:5:')
})

test('leaves Error as it was', () => {
  const before = [Error.stackTraceLimit, Reflect.get(Error, 'prepareStackTrace')]
  callSite()
  expect([Error.stackTraceLimit, Reflect.get(Error, 'prepareStackTrace')]).toEqual(before)
})
