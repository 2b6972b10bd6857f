// The catalogue is complete, and each class carries what it promises.
import { describe, expect, it } from 'vitest'
import { catalogue, ConfigError, ConnectError, GearmillError } from '../src/errors.ts'
import * as errors from '../src/errors.ts'
import * as entry from '../src/index.ts'

describe('the error catalogue', () => {
  it('says for every code what it means and what to do, as sentences', () => {
    for (const [code, { meaning, hint }] of Object.entries(catalogue)) {
      expect(code).toMatch(/^[A-Z]+(_[A-Z]+)+$/)
      expect(meaning, code).toMatch(/\.$/)
      expect(hint, code).toMatch(/\.$/)
    }
  })

  it('gives an error its hint, its cause and whether trying again can help', () => {
    const cause = new TypeError('inner')
    const error = new ConnectError('CONNECT_REFUSED', 'no answer', { cause })
    expect(error).toBeInstanceOf(GearmillError)
    expect(error).toMatchObject({ name: 'ConnectError', code: 'CONNECT_REFUSED', cause, retryable: true })
    expect(error.hint).toBe(catalogue.CONNECT_REFUSED.hint)
  })

  it('takes a hint of its own, and has no cause where none was given', () => {
    const error = new ConfigError('CONFIG_INVALID', 'wrong', { hint: 'mend it' })
    expect(error.hint).toBe('mend it')
    expect(error.retryable).toBe(false)
    expect(Object.hasOwn(error, 'cause')).toBe(false)
  })

  it('has every class in the public entry', () => {
    const names = Object.keys(errors).filter((name) => name.endsWith('Error'))
    expect(names).toContain('BufferError')
    expect(Object.keys(entry)).toEqual(expect.arrayContaining(names))
  })
})
