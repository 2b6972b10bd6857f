import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { beforeAll, afterAll, describe, expect, test } from 'vitest'
import { findServer, type ServerBinary } from '../../src/server/binary.ts'

let dir: string
let real: ServerBinary

beforeAll(async () => {
  real = await findServer()
  dir = await mkdtemp(join(tmpdir(), 'gearmill-binary-'))
})

afterAll(() => rm(dir, { recursive: true, force: true }))

async function program(folder: string, name: string, line: string): Promise<string> {
  const directory = await mkdtemp(join(dir, folder))
  const path = join(directory, name)
  await writeFile(path, `#!/bin/sh\necho '${line}'\n`)
  await chmod(path, 0o755)
  return directory
}

describe('findServer', () => {
  test('finds what the machine has, with its version', () => {
    expect(['redis', 'valkey']).toContain(real.name)
    expect(real.version[0]).toBeGreaterThanOrEqual(7)
  })

  test('prefers valkey-server', async () => {
    const redis = await program('redis', 'redis-server', 'Redis server v=7.4.1 sha=0')
    const valkey = await program('valkey', 'valkey-server', 'Valkey server v=8.1.2 sha=0')
    const found = await findServer({ PATH: [redis, valkey].join(delimiter) })
    expect(found).toEqual({
      path: join(valkey, 'valkey-server'),
      argv0: 'valkey-server',
      name: 'valkey',
      version: [8, 1, 2],
    })
  })

  test('passes over what is too old, and says so', async () => {
    const old = await program('old', 'redis-server', 'Redis server v=6.2.6 sha=0')
    await expect(findServer({ PATH: old })).rejects.toMatchObject({
      code: 'SERVER_NOT_FOUND',
      message: expect.stringContaining('version 6.2.6 is older than 7.0'),
    })
    const fresh = await program('new', 'redis-server', 'Redis server v=7.0.0 sha=0')
    expect((await findServer({ PATH: [old, fresh].join(delimiter) })).version).toEqual([7, 0, 0])
  })

  test('a checking tool that is no server is passed over', async () => {
    const tool = await program('tool', 'redis-check-rdb', 'redis-check-rdb 8.0')
    await expect(findServer({ PATH: tool })).rejects.toMatchObject({ code: 'SERVER_NOT_FOUND' })
  })

  test('the hint is a line to type', async () => {
    await expect(findServer({ PATH: '' })).rejects.toMatchObject({
      hint: expect.stringMatching(/`.*(redis|valkey).*`/),
    })
  })

  test('GEARMILL_SERVER names the binary', async () => {
    const path = join(dir, 'my-redis-server')
    await symlink(real.path, path)
    const found = await findServer({ PATH: '', GEARMILL_SERVER: path })
    expect(found).toMatchObject({ path, version: real.version })
    await expect(findServer({ PATH: process.env.PATH, GEARMILL_SERVER: '/nowhere' })).rejects.toMatchObject({
      code: 'SERVER_NOT_FOUND',
      message: expect.stringContaining('/nowhere'),
    })
  })
})
