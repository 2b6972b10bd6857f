import { describe, expect, test } from 'vitest'
import { readServerInfo } from '../../src/redis/version.ts'

describe('readServerInfo', () => {
  test('Redis and Valkey', () => {
    expect(readServerInfo('# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n', 'h')).toEqual({
      name: 'redis',
      version: [7, 0, 15],
      mode: 'standalone',
    })
    expect(
      readServerInfo(
        'redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.0-rc1\r\nserver_mode:cluster',
        'h',
      ),
    ).toEqual({ name: 'valkey', version: [8, 1, 0], mode: 'cluster' })
  })

  test.each(['redis_version:6.2.14', 'redis_version:5.0.0', 'server_name:valkey\r\nvalkey_version:7.1.0', 'nothing:1'])(
    'too old: %s',
    (info) => {
      expect(() => readServerInfo(info, 'host:1')).toThrow(
        expect.objectContaining({ code: 'CONNECT_VERSION', message: expect.stringContaining('host:1') }),
      )
    },
  )
})
