// Configuration: options over environment over gearmill.config.json over defaults. Each source is checked by itself, so that
// an error can name the file, variable or option that is wrong. config.schema.json is generated from the schema below.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import * as z from 'zod/mini'
import { ConfigError } from './errors.ts'

/** What Gearmill runs with, complete. */
export interface Config {
  /** `redis://`, `rediss://`, `redis+unix://` or `redis+sentinel://`. Default: `redis://127.0.0.1:6379`. */
  readonly url: string
  /** What every key of Gearmill begins with. Default: `gm`. */
  readonly namespace: string
  /** Executor processes of a worker. Default: one per core. */
  readonly executors: number
  readonly jobs: {
    /** Attempts per task before it counts as failed; 0: unlimited. Default: 3. */
    readonly maxAttempts: number
    /** Milliseconds that one task may take; 0: no limit. Default: 300,000. */
    readonly timeoutMs: number
    /** Ended executions that are kept with their results: the oldest go when another is submitted. Default: 1000. */
    readonly keep: number
    /** Milliseconds that an ended execution is kept with its result. Default: 3,600,000. */
    readonly keepMs: number
  }
  readonly matrix: {
    /** Rows and columns of a block. Default: 512. */
    readonly blockSize: number
  }
  /** Further servers that hold matrix blocks: URLs by name. */
  readonly stores: Readonly<Record<string, string>>
  readonly blocks: {
    /** Absolute path of a folder that all workers share; without it blocks go through Redis. */
    readonly dir: string | undefined
  }
  /** Whether workers run scripts that any client may submit unsigned. Default: false. */
  readonly allowScripts: boolean
  /** Signs shipped code; workers that have one refuse what is unsigned. From the environment only. */
  readonly secret: string | undefined
}

/** The same, every part of it optional, as users write it in code. */
export type ConfigOptions = z.input<typeof schema> & { readonly secret?: string | undefined }

export interface LoadedConfig {
  readonly config: Config
  /** Where each value that is not a default came from, by its dotted path: `{ 'jobs.timeoutMs': 'GEARMILL_TIMEOUT_MS' }`. */
  readonly origins: Readonly<Record<string, string>>
}

const fileName = 'gearmill.config.json'

// The error of each check is what was expected: it becomes a part of the message.
function integer(least: number, most: number, what: string) {
  const error = `an integer from ${least} to ${most}`
  return described(z.int({ error }).check(z.minimum(least, { error }), z.maximum(most, { error })), what)
}
const text = (error: string) => z.string({ error }).check(z.minLength(1, { error }))
const described = <T extends z.ZodMiniType>(type: T, what: string) => z.optional(type.check(z.describe(what)))
const longestTimer = 2 ** 31 - 1

const jobs = z.strictObject(
  {
    maxAttempts: integer(0, 1_000_000, 'Attempts per task before it counts as failed; 0: unlimited. Default: 3.'),
    timeoutMs: integer(0, longestTimer, 'Milliseconds that one task may take; 0: no limit. Default: 300000.'),
    keep: integer(
      1,
      1_000_000,
      'Ended executions that are kept: the oldest go when another is submitted. Default: 1000.',
    ),
    keepMs: integer(
      1000,
      longestTimer,
      'Milliseconds that an ended execution is kept with its result. Default: 3600000.',
    ),
  },
  { error: 'an object' },
)
const matrix = z.strictObject(
  { blockSize: integer(1, 1024, 'Rows and columns of a block. Default: 512.') },
  { error: 'an object' },
)
const blocks = z.strictObject(
  {
    dir: described(
      text('the path of a folder'),
      'A folder that client and workers share, relative to this file. Default: a temporary one of local workers, else Redis.',
    ),
  },
  { error: 'an object' },
)
const namespaceRule = 'letters, digits and _ . : -, at most 64'

/** What gearmill.config.json may hold. */
export const schema = z.strictObject(
  {
    url: described(
      text('a URL'),
      'redis://, rediss://, redis+unix:// or redis+sentinel://. Default: redis://127.0.0.1:6379.',
    ),
    namespace: described(
      z.string({ error: namespaceRule }).check(z.regex(/^[\w.:-]{1,64}$/, { error: namespaceRule })),
      'What every key of Gearmill begins with. Default: gm.',
    ),
    executors: integer(1, 1024, 'Executor processes of a worker. Default: one per core.'),
    jobs: z.optional(jobs),
    matrix: z.optional(matrix),
    stores: described(
      z.record(z.string(), text('a URL'), { error: 'an object of URLs by name' }),
      'Further servers that hold matrix blocks: URLs by name.',
    ),
    blocks: z.optional(blocks),
    allowScripts: described(
      z.boolean({ error: 'true or false' }),
      'Whether workers run scripts that any client may submit unsigned. Default: false.',
    ),
  },
  { error: 'an object' },
)

type Settings = z.output<typeof schema>

/** Environment variables by what they set; the first of several that is set counts. */
export const variables = [
  { path: 'url', name: 'GEARMILL_URL', as: 'text' },
  { path: 'url', name: 'REDIS_URL', as: 'text' },
  { path: 'namespace', name: 'GEARMILL_NAMESPACE', as: 'text' },
  { path: 'executors', name: 'GEARMILL_EXECUTORS', as: 'number' },
  { path: 'jobs.maxAttempts', name: 'GEARMILL_MAX_ATTEMPTS', as: 'number' },
  { path: 'jobs.timeoutMs', name: 'GEARMILL_TIMEOUT_MS', as: 'number' },
  { path: 'jobs.keep', name: 'GEARMILL_KEEP', as: 'number' },
  { path: 'jobs.keepMs', name: 'GEARMILL_KEEP_MS', as: 'number' },
  { path: 'matrix.blockSize', name: 'GEARMILL_BLOCK_SIZE', as: 'number' },
  { path: 'blocks.dir', name: 'GEARMILL_BLOCKS_DIR', as: 'text' },
  { path: 'allowScripts', name: 'GEARMILL_ALLOW_SCRIPTS', as: 'boolean' },
] as const

interface Source {
  readonly settings: Settings
  /** What relative paths are relative to. */
  readonly base: string
  readonly nameOf: (path: string) => string
}

/**
 * Reads the configuration.
 *
 * @param options what the caller says; over everything else
 * @param from the environment and the folder to look upward from for gearmill.config.json
 *
 * Throws `CONFIG_INVALID` for a value or field that is not allowed, `CONFIG_FILE` for a file that cannot be read.
 */
export function loadConfig(
  options: ConfigOptions = {},
  from: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): LoadedConfig {
  const env = from.env ?? process.env
  const cwd = from.cwd ?? workingFolder()
  const { secret, ...own } = options
  const sources = [fromOptions(own, cwd), fromEnvironment(env, cwd), fromFile(env, cwd)]
  const origins: Record<string, string> = {}

  const pick = <T>(path: string, read: (settings: Settings) => T | undefined): T | undefined => {
    for (const source of sources) {
      const value = source === undefined ? undefined : read(source.settings)
      if (source === undefined || value === undefined) continue
      origins[path] = source.nameOf(path)
      return value
    }
    return undefined
  }
  const folder = sources.find((source) => source?.settings.blocks?.dir !== undefined)
  const dir = pick('blocks.dir', (settings) => settings.blocks?.dir)
  const config: Config = {
    url: pick('url', (settings) => settings.url) ?? 'redis://127.0.0.1:6379',
    namespace: pick('namespace', (settings) => settings.namespace) ?? 'gm',
    executors: pick('executors', (settings) => settings.executors) ?? availableParallelism(),
    jobs: {
      maxAttempts: pick('jobs.maxAttempts', (settings) => settings.jobs?.maxAttempts) ?? 3,
      timeoutMs: pick('jobs.timeoutMs', (settings) => settings.jobs?.timeoutMs) ?? 300_000,
      keep: pick('jobs.keep', (settings) => settings.jobs?.keep) ?? 1000,
      keepMs: pick('jobs.keepMs', (settings) => settings.jobs?.keepMs) ?? 3_600_000,
    },
    matrix: { blockSize: pick('matrix.blockSize', (settings) => settings.matrix?.blockSize) ?? 512 },
    stores: pick('stores', (settings) => settings.stores) ?? {},
    blocks: { dir: dir === undefined ? undefined : resolve(folder?.base ?? cwd, dir) },
    allowScripts: pick('allowScripts', (settings) => settings.allowScripts) ?? false,
    secret: secretOf(secret, env),
  }
  return { config, origins }
}

function fromOptions(options: object, cwd: string): Source {
  const where = 'the options'
  return { settings: checked(options, where), base: cwd, nameOf: () => where }
}

function fromEnvironment(env: NodeJS.ProcessEnv, cwd: string): Source {
  const read = new Map<string, { readonly name: string; readonly value: unknown }>()
  for (const { path, name, as } of variables) {
    const value = env[name]
    if (value === undefined || value === '' || read.has(path)) continue
    read.set(path, { name, value: parsed(value, as) })
  }
  const settings: Record<string, unknown> = {}
  for (const [path, { name, value }] of read) {
    const [first = path, second] = path.split('.')
    const field = second === undefined ? { [first]: value } : { [first]: { [second]: value } }
    // One variable at a time, so that the error names it.
    checked(field, name)
    settings[first] = second === undefined ? value : { ...(settings[first] as object | undefined), [second]: value }
  }
  return { settings: checked(settings, 'the environment'), base: cwd, nameOf: (path) => read.get(path)?.name ?? path }
}

/** What cannot be read as its type stays text, and is refused with the words that were written. */
function parsed(value: string, as: (typeof variables)[number]['as']): unknown {
  if (as === 'number') return /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : value
  if (as === 'boolean') return { true: true, '1': true, false: false, '0': false }[value] ?? value
  return value
}

function fromFile(env: NodeJS.ProcessEnv, cwd: string): Source | undefined {
  const named = env.GEARMILL_CONFIG
  const found = named === undefined || named === '' ? findUpward(cwd) : readNamed(resolve(cwd, named))
  if (found === undefined) return undefined
  const { path, source } = found
  let content: unknown
  try {
    // Some editors begin a file with a byte order mark.
    content = JSON.parse(source.replace(/^\ufeff/, ''))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConfigError('CONFIG_FILE', `${path} is not JSON: ${reason}`, { cause })
  }
  // Editors find the schema by this field.
  const settings =
    typeof content === 'object' && content !== null && !Array.isArray(content)
      ? Object.fromEntries(Object.entries(content).filter(([name]) => name !== '$schema'))
      : content
  return { settings: checked(settings, path), base: dirname(path), nameOf: () => path }
}

function workingFolder(): string {
  try {
    return process.cwd()
  } catch (cause) {
    throw new ConfigError('CONFIG_FILE', 'the working directory of this process was removed', {
      cause,
      hint: 'Start the process in a directory that is there.',
    })
  }
}

function readNamed(path: string): { path: string; source: string } {
  try {
    return { path, source: readFileSync(path, 'utf8') }
  } catch (cause) {
    throw new ConfigError('CONFIG_FILE', `${path} cannot be read: ${(cause as NodeJS.ErrnoException).code}`, { cause })
  }
}

function findUpward(cwd: string): { path: string; source: string } | undefined {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const path = join(folder, fileName)
    try {
      return { path, source: readFileSync(path, 'utf8') }
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'ENOTDIR') {
        throw new ConfigError('CONFIG_FILE', `${path} cannot be read: ${code}`, { cause })
      }
    }
    if (dirname(folder) === folder) return undefined
  }
}

function secretOf(option: unknown, env: NodeJS.ProcessEnv): string | undefined {
  if (option === undefined) return env.GEARMILL_SECRET || undefined
  if (typeof option === 'string' && option !== '') return option
  // Never shown, not even a wrong one.
  throw new ConfigError('CONFIG_INVALID', `secret in the options: expected a text, got ${typeof option}`)
}

/** The value as settings, or CONFIG_INVALID with the path, what was expected, what came, and from where. */
function checked(value: unknown, where: string): Settings {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const messages = result.error.issues.map((issue) => {
    const path = issue.path.join('.')
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => unknownField(issue.path, key, where)).join('; ')
    }
    const got = issue.path.reduce<unknown>((part, key) => (part as Record<PropertyKey, unknown>)[key], value)
    return `${path === '' ? where : `${path} in ${where}`}: expected ${issue.message}, got ${shown(got)}`
  })
  throw new ConfigError('CONFIG_INVALID', messages.join('; '))
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value)
  const json = typeof value === 'bigint' || typeof value === 'function' ? String(value) : JSON.stringify(value)
  if (json === undefined) return String(value)
  // A URL in the wrong place may hold a password.
  const harmless = json.replaceAll(/\/\/[^"]*@/g, '//***@')
  return harmless.length > 80 ? `${harmless.slice(0, 77)}...` : harmless
}

const nested: Readonly<Record<string, z.ZodMiniObject>> = { '': schema, jobs, matrix, blocks }

function unknownField(path: readonly PropertyKey[], key: string, where: string): string {
  const known = Object.keys(nested[path.join('.')]?.shape ?? {})
  const near = known
    .map((name) => ({ name, distance: distance(name.toLowerCase(), key.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]
  const hint = near !== undefined && near.distance <= Math.max(2, key.length / 3) ? `did you mean '${near.name}'?` : ''
  return `unknown field '${[...path, key].join('.')}' in ${where}: ${hint || `expected one of ${known.join(', ')}`}`
}

/** Edits (insert, delete, replace) that turn one word into the other: Levenshtein, row by row. */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const replace = (above[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(replace, (above[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1))
    }
    above = current
  }
  return above[b.length] ?? 0
}

/** The JSON schema of gearmill.config.json. */
export function jsonSchema(): object {
  const { $schema, ...generated } = z.toJSONSchema(z.extend(schema, { $schema: z.optional(z.string()) }), {
    io: 'input',
  })
  return { $schema, title: fileName, ...generated }
}
