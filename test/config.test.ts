// Which source wins, and what is said about each kind of mistake.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { loadConfig, schema, variables, type ConfigOptions } from '../src/config.ts'
import { ConfigError } from '../src/errors.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gearmill-config-'))
})
afterEach(() => rm(folder, { recursive: true }))

const write = (content: unknown) =>
  writeFile(join(folder, 'gearmill.config.json'), typeof content === 'string' ? content : JSON.stringify(content))

function load(options: ConfigOptions = {}, env: NodeJS.ProcessEnv = {}, cwd = folder) {
  return loadConfig(options, { env, cwd })
}

function refusal(act: () => unknown): ConfigError {
  try {
    act()
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  return expect.fail('nothing was refused')
}

describe('sources', () => {
  it('has defaults for everything', () => {
    expect(load()).toEqual({
      config: {
        url: 'redis://127.0.0.1:6379',
        namespace: 'gm',
        executors: availableParallelism(),
        jobs: { maxAttempts: 3, timeoutMs: 300_000, keep: 1000, keepMs: 3_600_000 },
        matrix: { blockSize: 512 },
        stores: {},
        blocks: { dir: undefined },
        allowScripts: false,
        secret: undefined,
      },
      origins: {},
    })
  })

  it('puts options over environment over file, value by value', async () => {
    await write({ url: 'redis://file', namespace: 'file', executors: 7, jobs: { maxAttempts: 9, timeoutMs: 1000 } })
    const { config, origins } = load(
      { url: 'redis://option', namespace: undefined },
      {
        GEARMILL_URL: 'redis://variable',
        GEARMILL_NAMESPACE: 'variable',
        GEARMILL_TIMEOUT_MS: '5',
        GEARMILL_EXECUTORS: '',
      },
    )
    expect(config).toMatchObject({
      url: 'redis://option',
      namespace: 'variable',
      executors: 7,
      jobs: { maxAttempts: 9, timeoutMs: 5 },
    })
    const file = join(folder, 'gearmill.config.json')
    expect(origins).toEqual({
      url: 'the options',
      namespace: 'GEARMILL_NAMESPACE',
      executors: file,
      'jobs.maxAttempts': file,
      'jobs.timeoutMs': 'GEARMILL_TIMEOUT_MS',
    })
  })

  it('prefers GEARMILL_URL to REDIS_URL, and both to the file', async () => {
    await write({ url: 'redis://file' })
    expect(load({}, { REDIS_URL: 'redis://b' }).config.url).toBe('redis://b')
    expect(load({}, { REDIS_URL: 'redis://b', GEARMILL_URL: 'redis://a' }).config.url).toBe('redis://a')
  })

  it('finds the file upward, ignores $schema, and resolves its paths from where it lies', async () => {
    await write({ $schema: './node_modules/gearmill/config.schema.json', blocks: { dir: 'shared' } })
    const below = join(folder, 'a', 'b')
    await mkdir(below, { recursive: true })
    expect(load({}, {}, below).config.blocks.dir).toBe(join(folder, 'shared'))
    expect(load({}, { GEARMILL_BLOCKS_DIR: 'mine' }, below).config.blocks.dir).toBe(join(below, 'mine'))
  })

  it('reads the file that GEARMILL_CONFIG names, and refuses one that is not there', async () => {
    await writeFile(join(folder, 'other.json'), '{ "executors": 3 }')
    expect(load({}, { GEARMILL_CONFIG: 'other.json' }).config.executors).toBe(3)
    expect(refusal(() => load({}, { GEARMILL_CONFIG: 'absent.json' }))).toMatchObject({
      code: 'CONFIG_FILE',
      message: expect.stringContaining(join(folder, 'absent.json')),
    })
  })

  it('takes the secret from the options or GEARMILL_SECRET, never from the file, and never shows it', async () => {
    expect(load({}, { GEARMILL_SECRET: 's' }).config.secret).toBe('s')
    expect(load({ secret: 'o' }, { GEARMILL_SECRET: 's' }).config.secret).toBe('o')
    expect(refusal(() => load({ secret: 12345 as unknown as string })).message).not.toContain('12345')
    await write({ secret: 's' })
    expect(refusal(() => load()).message).toContain("unknown field 'secret'")
  })

  it('gives back any valid file as it is', async () => {
    const settings = fc.record(
      {
        url: fc.webUrl(),
        namespace: fc.stringMatching(/^[\w.:-]{1,64}$/),
        executors: fc.integer({ min: 1, max: 1024 }),
        jobs: fc.record({ maxAttempts: fc.nat(1000), timeoutMs: fc.integer({ min: 1, max: 10 ** 9 }) }),
        matrix: fc.record({ blockSize: fc.integer({ min: 1, max: 1024 }) }),
        stores: fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.webUrl(), { noNullPrototype: true }),
        allowScripts: fc.boolean(),
      },
      { requiredKeys: [] },
    )
    await fc.assert(
      fc.asyncProperty(settings, async (content) => {
        await write(content)
        expect(load().config).toMatchObject(content)
      }),
      { numRuns: 50 },
    )
  })
})

describe('mistakes', () => {
  it.each([
    [{ executors: 'many' }, 'executors in FILE: expected an integer from 1 to 1024, got "many"'],
    [{ executors: 1.5 }, 'executors in FILE: expected an integer from 1 to 1024, got 1.5'],
    [{ jobs: { timeoutMs: -1 } }, 'jobs.timeoutMs in FILE: expected an integer from 0 to 2147483647, got -1'],
    [{ jobs: 3 }, 'jobs in FILE: expected an object, got 3'],
    [{ namespace: '{a}' }, 'namespace in FILE: expected letters, digits and _ . : -, at most 64, got "{a}"'],
    [{ stores: { a: 5 } }, 'stores.a in FILE: expected a URL, got 5'],
    [{ url: '' }, 'url in FILE: expected a URL, got ""'],
    [{ allowScripts: 'yes' }, 'allowScripts in FILE: expected true or false, got "yes"'],
    [[], 'FILE: expected an object, got []'],
    [{ exectors: 2 }, "unknown field 'exectors' in FILE: did you mean 'executors'?"],
    [{ jobs: { maxattempts: 2 } }, "unknown field 'jobs.maxattempts' in FILE: did you mean 'maxAttempts'?"],
    [{ matrix: { zzz: 2 } }, "unknown field 'matrix.zzz' in FILE: expected one of blockSize"],
  ])('says what is wrong with %j', async (content, message) => {
    await write(content)
    const file = join(folder, 'gearmill.config.json')
    expect(refusal(() => load())).toMatchObject({ code: 'CONFIG_INVALID', message: message.replace('FILE', file) })
  })

  it.each([
    ['GEARMILL_EXECUTORS', 'two', 'executors in GEARMILL_EXECUTORS: expected an integer from 1 to 1024, got "two"'],
    [
      'GEARMILL_MAX_ATTEMPTS',
      '-1',
      'jobs.maxAttempts in GEARMILL_MAX_ATTEMPTS: expected an integer from 0 to 1000000, got -1',
    ],
    ['GEARMILL_ALLOW_SCRIPTS', 'si', 'allowScripts in GEARMILL_ALLOW_SCRIPTS: expected true or false, got "si"'],
  ])('names the variable %s', (name, value, message) => {
    expect(refusal(() => load({}, { [name]: value })).message).toBe(message)
  })

  it('tells all mistakes of a source at once', async () => {
    await write({ executors: 0, jobs: { timeoutMs: 'x' } })
    const { message } = refusal(() => load())
    expect(message).toContain('executors')
    expect(message).toContain('jobs.timeoutMs')
  })

  it('shows no password of a URL that is in the wrong place, and reads files that begin with a byte order mark', async () => {
    for (const content of [{ url: ['redis://:HUNTER2@h'] }, { stores: 'redis://u:HUN/TER2@h' }]) {
      await write(content)
      expect(refusal(load).message).toMatch(/got .*\/\/\*\*\*@h/)
    }
    await write('\ufeff{ "executors": 3 }')
    expect(load().config.executors).toBe(3)
  })

  it('refuses to look from a folder that is gone', () => {
    const gone = vi.spyOn(process, 'cwd').mockImplementation(() => {
      throw new Error('ENOENT: uv_cwd')
    })
    onTestFinished(() => gone.mockRestore())
    expect(refusal(() => loadConfig())).toMatchObject({ code: 'CONFIG_FILE' })
  })

  it('refuses a file that is not JSON, or not a file', async () => {
    await write('{ "url": ')
    expect(refusal(() => load())).toMatchObject({
      code: 'CONFIG_FILE',
      message: expect.stringContaining('is not JSON'),
    })
    await rm(join(folder, 'gearmill.config.json'))
    await mkdir(join(folder, 'gearmill.config.json'))
    expect(refusal(() => load())).toMatchObject({ code: 'CONFIG_FILE', message: expect.stringContaining('EISDIR') })
  })
})

describe('the shipped JSON schema', () => {
  it('knows the fields that the code knows', async () => {
    const shipped: unknown = JSON.parse(await readFile(new URL('../config.schema.json', import.meta.url), 'utf8'))
    const fields = Object.fromEntries(
      [...Object.keys(schema.shape), '$schema'].map((name) => [name, expect.anything()]),
    )
    expect(shipped).toMatchObject({ properties: fields, additionalProperties: false })
  })

  it('has a variable for every plain value', () => {
    const settable = new Set(variables.map(({ path }) => path.split('.')[0]))
    expect(Object.keys(schema.shape).filter((name) => !settable.has(name))).toEqual(['stores'])
  })
})
