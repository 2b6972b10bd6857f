import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import { readLibrary } from '../../src/redis/library.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'

async function folder(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'gearmill-functions-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  return directory
}

const shared = 'local function twice(x)\n  return 2 * tonumber(x)\nend\n'
const double =
  "local function double(keys, args)\n  return twice(args[1])\nend\n\ngearmill.register('double', double)\n"
const put =
  "local function put(keys, args)\n  redis.call('SET', keys[1], args[1])\n  return redis.status_reply('OK')\nend\n\ngearmill.public('put', put)\n"

test("Gearmill's own functions assemble, each once", async () => {
  const library = await readLibrary()
  const names = [...library.internal.functions, ...library.public.functions]
  expect(names).toContain('renew')
  expect(new Set(names).size).toBe(names.length)
  expect(await readLibrary()).toBe(library)
})

test('the name tells the content: another text is another library', async () => {
  const one = await readLibrary(await folder({ '_shared.lua': shared, 'double.lua': double }))
  const same = await readLibrary(await folder({ '_shared.lua': shared, 'double.lua': double }))
  const other = await readLibrary(await folder({ '_shared.lua': `${shared}-- more\n`, 'double.lua': double }))
  expect(same.internal.name).toBe(one.internal.name)
  expect(other.internal.name).not.toBe(one.internal.name)
  expect(one.functionName('double')).toMatch(/^gm[0-9a-f]{8}_double$/)
})

describeTopologies('the function library', (topology) => {
  afterEach(() => flush({ functions: true }))

  test('is called by short names; public functions have one name for every client', async () => {
    const functions = await folder({ '_shared.lua': shared, 'double.lua': double, 'put.lua': put })
    const deployment = await connectDeployment(await topology.url(), { functions })
    onTestFinished(() => deployment.close())
    expect(await deployment.call('double', ['k'], [21])).toBe(42)
    for (const key of ['a', 'b', 'c', 'd']) {
      expect(await deployment.call('put', [key], ['1'])).toBe('OK')
      expect(await deployment.command(key, ['FCALL', 'gm_put', 1, key, '2'])).toBe('OK')
      expect(await deployment.command(key, ['GET', key])).toBe('2')
    }
    await expect(deployment.call('double', ['k'], ['no number'])).rejects.toMatchObject({ code: 'CONNECT_REPLY' })
    await expect(deployment.call('nosuch', ['k'], [])).rejects.toThrow('Function not found')
  })

  test('is loaded again where it went missing', async () => {
    const functions = await folder({ '_shared.lua': shared, 'double.lua': double, 'put.lua': put })
    const deployment = await connectDeployment(await topology.url(), { functions })
    onTestFinished(() => deployment.close())
    await flush({ functions: true })
    const calls = ['a', 'b', 'c', 'd', 'e'].map((key) => deployment.call('double', [key], [1]))
    expect(await Promise.all(calls)).toEqual([2, 2, 2, 2, 2])
  })

  test('versions live side by side, and the last public text of a version counts', async () => {
    const url = await topology.url()
    const old = await connectDeployment(url, {
      functions: await folder({ '_shared.lua': shared, 'double.lua': double, 'put.lua': put }),
    })
    onTestFinished(() => old.close())
    const changed = await connectDeployment(url, {
      functions: await folder({
        '_shared.lua': shared.replace('2 *', '20 *'),
        'double.lua': double,
        'put.lua': put.replace("'OK'", "'NEW'"),
      }),
    })
    onTestFinished(() => changed.close())
    expect(await old.call('double', ['k'], [1])).toBe(2)
    expect(await changed.call('double', ['k'], [1])).toBe(20)
    expect(await old.call('put', ['k'], ['v'])).toBe('NEW')
  })
})
