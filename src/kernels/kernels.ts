// `mill.kernels`: stores kernels, starts chains.
import { randomBytes } from 'node:crypto'
import { readFile, readdir, stat } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { KernelError, PlanError } from '../errors.ts'
import type { Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf, pairsOf, textMapOf, textOf } from '../redis/replies.ts'
import { laneNamed, laneOfChain, StartedChain, type Chain, type ChainClient } from './chain.ts'
import { ChainEnds } from './ends.ts'
import { chainLanes, eventKey, isKernelName, kernelKey, kernelNames } from './keys.ts'
import {
  checkArguments,
  checkId,
  checkName,
  checkOptions,
  checkSource,
  checkStart,
  checkTexts,
  refuse,
  type StartOptions,
} from './options.ts'
import { parseExpression } from './source/parse.ts'
import { signKernel } from './trusted/sign.ts'
import { optionsOf, readKernel, shortVersion, versionOf, type KernelOptions, type StoredKernel } from './store.ts'
import { unpackFromServer } from './server-pack.ts'
import { encodeCall } from './wire.ts'

/** Versions of a kernel that are kept. */
const mostVersions = 20
/** How long an event that happened can be waited for. */
const eventMs = 24 * 60 * 60 * 1000
const extensions = new Set(['.ts', '.js', '.mts', '.mjs'])

export interface KernelVersion {
  /** The beginning of the hash of source and options: what traces and errors name. */
  readonly version: string
  /** Milliseconds since 1970. */
  readonly stored: number
  readonly source: string
  readonly options: KernelOptions
}

export interface KernelStatistics {
  /** Steps that ran, failed attempts included. */
  readonly steps: number
  readonly failures: number
  /** Mean time of a step, in milliseconds. */
  readonly meanMs: number
}

export interface KernelSummary {
  readonly name: string
  readonly version: string
  readonly trusted: boolean
  readonly statistics: KernelStatistics
}

export interface Kernel extends KernelSummary {
  readonly source: string
  readonly options: KernelOptions
  /** The last 20, the oldest first. A plain SET keeps none but its own. */
  readonly versions: readonly KernelVersion[]
}

export interface KernelsOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly secret: string | undefined
}

/** The kernels of the deployment and their chains, whoever stored and started them. */
export class Kernels {
  readonly #options: KernelsOptions
  readonly #client: ChainClient
  #turn = 0

  constructor(options: KernelsOptions) {
    const { deployment, namespace } = options
    this.#options = options
    this.#client = { deployment, namespace, ends: new ChainEnds(deployment, namespace) }
  }

  /**
   * Stores a kernel: its source, or a function that uses nothing from outside of it. Steps that begin from then on run it, also
   * those of chains that run already. Returns its version.
   *
   * Throws `PLAN_OPTION`.
   *
   * @example
   * await mill.kernels.set('double', 'function double(n) { return done(2 * n) }')
   * const chain = await mill.kernels.start('double', 21)
   * console.log(await chain.done()) // 42
   */
  async set(
    name: string,
    source: string | ((...args: never[]) => unknown),
    options: KernelOptions = {},
  ): Promise<string> {
    checkName(name, 'set')
    const text = typeof source === 'function' ? sourceOf(source) : source
    checkSource(text)
    const { deployment, namespace, secret } = this.#options
    const stored = checkOptions(options)
    const json = JSON.stringify(stored)
    const mark = stored.trusted === true && secret !== undefined ? signKernel(name, text, secret) : Buffer.alloc(0)
    const hash = versionOf(Buffer.from(text), json, mark)
    const names = kernelNames(namespace)
    await deployment.command(names, ['SADD', names, name])
    const key = kernelKey(namespace, name)
    await deployment.call('kernel_put', [key], [text, json, mark, hash, mostVersions])
    return shortVersion(hash)
  }

  /**
   * Stores every .ts and .js file of a folder, each under its base name, with the same options. Returns the names. Where one of
   * them cannot be stored, none is.
   *
   * Throws `PLAN_FILE`, `PLAN_OPTION`.
   */
  async push(directory: string, options: KernelOptions = {}): Promise<string[]> {
    if (typeof directory !== 'string' || directory === '') refuse('push', 'the path of a folder', directory)
    checkOptions(options)
    const files = await reading(directory, readdir(directory))
    const sources = new Map<string, string>()
    for (const file of files.filter((each) => extensions.has(extname(each)) && !/\.d\.m?ts$/.test(each)).toSorted()) {
      const name = basename(file, extname(file))
      if (!isKernelName(name)) refuse('push', 'files with names of letters, digits and _ $ . : -', file)
      if (sources.has(name)) refuse('push', `one file for the kernel ${name}`, file)
      const path = join(directory, file)
      if ((await reading(path, stat(path))).isDirectory()) continue
      const source = await reading(path, readFile(path, 'utf8'))
      if (source.trim() === '') refuse('push', 'files that are not empty', file)
      checkSource(source)
      sources.set(name, source)
    }
    for (const [name, source] of sources) await this.set(name, source, options)
    return [...sources.keys()]
  }

  /** Every kernel that was stored through Gearmill, and those set as plain keys that have run, by name. */
  async list(): Promise<KernelSummary[]> {
    const { deployment, namespace } = this.#options
    const key = kernelNames(namespace)
    const statistics = await this.#statistics()
    const stored = itemsOf(await deployment.command(key, ['SMEMBERS', key])).map(textOf)
    const names = [...new Set([...stored, ...statistics.keys()])].toSorted()
    const kernels = await Promise.all(names.map((name) => readKernel(deployment, namespace, name)))
    return kernels.filter((kernel) => kernel !== undefined).map((kernel) => summaryOf(kernel, statistics))
  }

  /** One kernel as it is now. Throws KERNEL_UNKNOWN. */
  async get(name: string): Promise<Kernel> {
    checkName(name, 'get')
    const { deployment, namespace } = this.#options
    const kernel = await readKernel(deployment, namespace, name)
    if (kernel === undefined) throw new KernelError('KERNEL_UNKNOWN', `there is no kernel ${name}`, { kernel: name })
    const key = kernelKey(namespace, name)
    const fields = new Map(
      pairsOf(await deployment.command(key, ['HGETALL', key], { binary: true }).catch(() => [])).map(
        ([field, value]) => [textOf(field), value as Buffer] as const,
      ),
    )
    const kept = textOf(fields.get('versions')).split(' ')
    const versions: KernelVersion[] = kept.flatMap((hash) => {
      const bytes = fields.get(`v ${hash}`)
      if (bytes === undefined) return []
      const [stored, options, source] = unpackFromServer(bytes) as [number, Buffer, Buffer]
      const version = shortVersion(hash)
      return [{ version, stored, source: source.toString(), options: optionsOf(options.toString()) }]
    })
    return {
      ...summaryOf(kernel, await this.#statistics()),
      source: kernel.source,
      options: optionsOf(textOf(fields.get('options'))),
      versions,
    }
  }

  /** Removes a kernel; a key that was SET by its plain name stays. Returns whether there was one. */
  async remove(name: string): Promise<boolean> {
    checkName(name, 'remove')
    const { deployment, namespace } = this.#options
    const names = kernelNames(namespace)
    const key = kernelKey(namespace, name)
    await deployment.command(names, ['SREM', names, name])
    return numberOf(await deployment.command(key, ['UNLINK', key])) === 1
  }

  /**
   * Starts a chain and returns at once: it is stored, and goes on without this process. A text argument `@key` is the value of
   * that key when the step begins; `@@text` is the text `@text`.
   *
   * Throws `PLAN_OPTION`, `CONNECT_*`.
   */
  start<T = unknown>(name: string, ...args: unknown[]): Promise<Chain<T>>
  start<T = unknown>(options: StartOptions): Promise<Chain<T>>
  async start<T>(what: string | StartOptions, ...rest: unknown[]): Promise<Chain<T>> {
    const options: StartOptions = typeof what === 'string' ? { name: what, args: rest } : what
    checkStart(options)
    const { name, args = [], id, text = false } = options
    const { deployment, namespace } = this.#options
    const values = text ? checkTexts(args) : checkArguments(args)
    const chain = id ?? this.#newId()
    if (id !== undefined) this.#checkLane(id)
    const lane = laneOfChain(namespace, chain)
    if (text) {
      const texts = values as readonly string[]
      await deployment.call('start', [lane.base, lane.chain(chain)], [name, ...texts])
    } else await deployment.call('chain_start', [lane.base], [chain, encodeCall(name, values)])
    return new StartedChain<T>(chain, this.#client)
  }

  /** The chain of that id, whoever started it; its methods throw KERNEL_CHAIN where there is none. */
  chain<T = unknown>(id: string): Chain<T> {
    checkId(id, 'chain')
    return new StartedChain<T>(id, this.#client)
  }

  /** Lets every step go on that waits for the event (`.when({ event })`), and those that will within a day. */
  async signal(event: string): Promise<void> {
    if (typeof event !== 'string' || event === '') refuse('signal', 'the name of an event', event)
    const { deployment, namespace } = this.#options
    const key = eventKey(namespace, event)
    await deployment.command(key, ['SET', key, '1', 'PX', eventMs])
  }

  /** A chain in a lane that nobody serves would never run. */
  #checkLane(id: string): void {
    const { deployment, namespace } = this.#options
    const named = laneNamed(id)
    if (named === undefined || chainLanes(deployment, namespace).some(({ tag }) => tag === named)) return
    refuse('start', `an id that does not end in -${named}, as those of a lane do`, id)
  }

  #newId(): string {
    const { deployment, namespace } = this.#options
    const lanes = chainLanes(deployment, namespace)
    const tag = lanes[this.#turn++ % lanes.length]?.tag ?? 'gm0'
    const id = `${Date.now().toString(36)}${randomBytes(5).toString('hex')}`
    return tag === 'gm0' ? id : `${id}-${tag}`
  }

  /** For the mill that it is of: stops waiting for chains. */
  close(): Promise<void> {
    return this.#client.ends.close()
  }

  async #statistics(): Promise<Map<string, KernelStatistics>> {
    const { deployment, namespace } = this.#options
    const sums = new Map<string, { steps: number; failures: number; us: number }>()
    for (const { statistics } of chainLanes(deployment, namespace)) {
      const fields = textMapOf(await deployment.command(statistics, ['HGETALL', statistics]))
      for (const [field, value] of fields) {
        const space = field.indexOf(' ')
        const name = field.slice(space + 1)
        let sum = sums.get(name)
        if (sum === undefined) sums.set(name, (sum = { steps: 0, failures: 0, us: 0 }))
        const kind = field.slice(0, space)
        if (kind === 'n') sum.steps += Number(value)
        else if (kind === 'f') sum.failures += Number(value)
        else if (kind === 'us') sum.us += Number(value)
      }
    }
    return new Map(
      [...sums].map(([name, { steps, failures, us }]) => [
        name,
        { steps, failures, meanMs: steps === 0 ? 0 : us / steps / 1000 },
      ]),
    )
  }
}

function summaryOf(kernel: StoredKernel, statistics: ReadonlyMap<string, KernelStatistics>): KernelSummary {
  return {
    name: kernel.name,
    version: shortVersion(kernel.hash),
    trusted: kernel.trusted,
    statistics: statistics.get(kernel.name) ?? { steps: 0, failures: 0, meanMs: 0 },
  }
}

async function reading<T>(path: string, what: Promise<T>): Promise<T> {
  try {
    return await what
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PlanError('PLAN_FILE', `cannot read ${path}: ${why}`, { cause })
  }
}

/** The text of a function, so that its source defines the kernel. */
function sourceOf(f: (...args: never[]) => unknown): string {
  const text = f.toString()
  if (/\{\s*\[native code\]\s*\}$/.test(text)) refuse('set', 'a function written in JavaScript', 'a native one')
  if (/^class\b/.test(text)) refuse('set', 'a function', 'a class')
  // A method is written without the word.
  const asFunction = text.replace(/^(async\s)?\s*(\*?)/, '$1function$2 ')
  const source = [text, asFunction].find(isExpression) ?? refuse('set', 'a function that can be written alone', text)
  // Tools that keep the names of functions write calls of it.
  const named = /\b__name\(/.test(source) ? 'const __name = (named) => named\n' : ''
  return `export default ${source}\n${named}`
}

function isExpression(text: string): boolean {
  try {
    parseExpression(`(${text})`)
    return true
  } catch {
    return false
  }
}
