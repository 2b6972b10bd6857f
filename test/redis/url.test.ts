import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ConnectError } from '../../src/errors.ts'
import { parseUrl, redactUrl } from '../../src/redis/url.ts'

describe('parseUrl', () => {
  test('a plain URL has defaults', () => {
    expect(parseUrl('redis://')).toEqual({
      kind: 'direct',
      addresses: [{ host: 'localhost', port: 6379 }],
      credentials: {},
      sentinelCredentials: {},
      tls: false,
      database: 0,
      primaryName: '',
    })
    expect(parseUrl('redis://example.org')).toMatchObject({ addresses: [{ host: 'example.org', port: 6379 }] })
  })

  test('credentials, port, database and TLS', () => {
    expect(parseUrl('rediss://us%40er:p%3Aw@[::1]:7000/3')).toMatchObject({
      addresses: [{ host: '::1', port: 7000 }],
      credentials: { username: 'us@er', password: 'p:w' },
      tls: true,
      database: 3,
    })
    expect(parseUrl('redis://:secret@h').credentials).toEqual({ password: 'secret' })
    expect(parseUrl('redis://user@h').credentials).toEqual({ username: 'user' })
  })

  test('unix sockets', () => {
    expect(parseUrl('redis+unix:///tmp/a%20b.sock?db=2&password=p%26w')).toMatchObject({
      kind: 'direct',
      addresses: [{ path: '/tmp/a b.sock' }],
      credentials: { password: 'p&w' },
      database: 2,
    })
  })

  test('Sentinels', () => {
    expect(parseUrl('redis+sentinel://:pw@h1:26380,h2/main/1?sentinelPassword=sp')).toMatchObject({
      kind: 'sentinel',
      addresses: [
        { host: 'h1', port: 26380 },
        { host: 'h2', port: 26379 },
      ],
      credentials: { password: 'pw' },
      sentinelCredentials: { password: 'sp' },
      primaryName: 'main',
      database: 1,
    })
  })

  test.each([
    'localhost:6379',
    'http://localhost',
    'redis://host:99999',
    'redis://host:port',
    'redis://host/db',
    'redis://h:1%zz@host',
    'redis+unix://host/path',
    'redis+unix://',
    'redis+sentinel://h1,h2',
    'redis+sentinel://h1/name/0/more',
    '',
  ])('refuses %s', (url) => {
    const parsing = () => parseUrl(url)
    expect(parsing).toThrow(ConnectError)
    expect(parsing).toThrow(expect.objectContaining({ code: 'CONNECT_URL' }))
  })

  test('any credentials survive the way through a URL, and no message or log shows a password', () => {
    const text = fc.string({ minLength: 1, unit: 'grapheme' })
    fc.assert(
      fc.property(text, text, (username, tail) => {
        const password = `hunter2${tail}`
        const userInfo = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`
        const url = `redis://${userInfo}@host:1/0`
        expect(parseUrl(url).credentials).toEqual({ username, password })
        expect(redactUrl(url)).not.toContain('hunter2')
        expect(redactUrl(`redis+unix:///s?db=1&password=${encodeURIComponent(password)}`)).not.toContain('hunter2')
        expect(redactUrl(`redis+sentinel://h/n?sentinelPassword=${encodeURIComponent(password)}`)).not.toContain(
          'hunter2',
        )
        expect(() => parseUrl(`${url}x`)).toThrow(expect.not.stringContaining('hunter2'))
      }),
    )
  })

  test.each([
    'redis://user:p@HUNTER2@host:1',
    'redis://user:HUNTER2/x@host:1',
    'redis://:HUNTER2/1@host:1',
    'redis://user:HUNTER2#x@host:1',
    'redis://user:HUNTER2?x@host:1',
    'redis://user:12345HUNTER2?x@host:1',
    'redis://user:a/HUNTER2@b@host:1/0',
    'redis+sentinel://user:HUNTER2/x@host:1/name',
    'redis:/user:HUNTER2/x@host:1',
  ])('refuses %s, a password that was not escaped, without showing it', (url) => {
    expect(redactUrl(url)).not.toContain('HUNTER2')
    const hint = expect.stringContaining('%2F for /') as string
    const message = expect.not.stringContaining('HUNTER2') as string
    expect(() => parseUrl(url)).toThrow(expect.objectContaining({ code: 'CONNECT_URL', message, hint }))
  })

  test('shows what is not secret', () => {
    expect(redactUrl('redis+unix:///run/a@b.sock?db=1')).toBe('redis+unix:///run/a@b.sock?db=1')
    expect(redactUrl('rediss://user@host/1')).toBe('rediss://user@host/1')
    expect(redactUrl('user:HUNTER2@host:1')).toBe('user:***@host:1')
    expect(redactUrl('redis://h?password=HUN#TER2@x&db=1')).toBe('redis://h?password=***&db=1')
    expect(() => parseUrl('redis://host/db')).toThrow("expected a database number, got 'db'")
  })
})
