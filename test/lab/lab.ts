// The word count lab through the public interface: its pipelines, its workers as processes, and what is in the server.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { connect, type ExecutionStatus, type Mill, type PipelineSink } from '../../src/index.ts'
import type { Fault } from '../../src/engine/protocol.ts'
import type { MillOptions } from '../../src/mill/options.ts'
import { raw, until } from '../fixtures/servers.ts'
import type { PrivateServer } from '../../src/server/standalone.ts'
import type { Gate } from './gate.ts'
import { textColumn, type Tweets } from './tweets.ts'

/** Executors run what is built; so do worker processes. */
const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

/** How words get into the sorted set `counts`. */
export type How = 'replace' | 'add' | 'words'
export const ways: readonly How[] = ['replace', 'add', 'words']

let namespaces = 0

/** A namespace that no other test has. */
export function newNamespace(): string {
  return `lab${process.pid}.${namespaces++}`
}

export function openMill(url: string, options: MillOptions = {}): Promise<Mill> {
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const logger = process.env.GEARMILL_TEST_LOG === undefined ? quiet : console
  return connect(url, { executors: 2, namespace: newNamespace(), logger, ...options })
}

export interface CountOptions {
  readonly how?: How
  /** Each file takes so many milliseconds at least. */
  readonly paceMs?: number
  /** Files wait until it lets them through. */
  readonly gate?: Gate
  readonly header?: boolean
  readonly encoding?: string
  readonly key?: string
}

/** The pipeline of the lab: the text column, split at single spaces, counted into a sorted set. */
export function wordCount(mill: Mill, tweets: Tweets, options: CountOptions = {}): PipelineSink {
  const { how = 'add', paceMs, gate, header = true, encoding = 'utf-8', key = 'counts' } = options
  const column = header ? 'text' : textColumn
  const { glob, splitBytes } = tweets
  const texts = mill.files(glob, { format: 'csv', column, header, encoding, splitBytes })
  const paced =
    paceMs === undefined
      ? texts
      : texts.map(async (text) => {
          await new Promise((resolve) => setTimeout(resolve, paceMs))
          return text
        })
  const held = gate === undefined ? paced : paced.map(holdAt(gate.path))
  const words = held.split(' ')
  // Every occurrence is an effect of its own: more than go along with a commit, so they take the outbox.
  if (how === 'words') return words.write((word) => ['ZINCRBY', key, '1', word])
  return words.countBy().toSortedSet(key, { mode: how })
}

/** Waits at the first row of a file, which names it, until the file at `path` lets it through. */
function holdAt(path: string): (text: string) => Promise<string> {
  return async (text) => {
    const { readFile } = await import('node:fs/promises')
    const file = /^mark(\d+)$/.exec(text)?.[1]
    const mayPass = async (): Promise<boolean> => Number(await readFile(path, 'utf8')) > Number(file)
    while (file !== undefined && !(await mayPass())) await new Promise((resolve) => setTimeout(resolve, 10))
    return text
  }
}

export async function countsIn(mill: Mill, key = 'counts'): Promise<Map<string, number>> {
  const found = await mill.redis.zRangeWithScores(key, 0, -1)
  return new Map(found.map(({ value, score }) => [String(value), score]))
}

/** The sorted set holds what a serial count finds: no word more, none less, none twice. */
export async function expectExact(mill: Mill, tweets: Tweets, key = 'counts'): Promise<void> {
  const found = await countsIn(mill, key)
  const wrong = [...new Set([...found.keys(), ...tweets.counts.keys()])]
    .map((word) => [word, found.get(word) ?? 0, tweets.counts.get(word) ?? 0] as const)
    .filter(([, is, should]) => is !== should)
  expect(wrong).toEqual([])
}

export interface WorkerOptions {
  readonly executors?: number
  readonly leaseMs?: number
  readonly fault?: Fault
}

/** `gearmill worker`, in a process group of its own. */
export interface WorkerProcess extends AsyncDisposable {
  readonly pid: number
  readonly child: ChildProcess
  /** What it said so far. */
  readonly said: () => string
  /** Sends a signal to the worker and its executors. */
  signal(name: NodeJS.Signals): void
  /** SIGKILL to the worker alone; resolves when it is gone. */
  kill(): Promise<void>
}

export async function startWorkerProcess(
  url: string,
  namespace: string,
  options: WorkerOptions = {},
): Promise<WorkerProcess> {
  const { executors = 1, leaseMs = 2500, fault } = options
  const faults = fault ? ['--fault', `${fault.at}:${fault.signal ?? 'SIGKILL'}:${fault.times ?? 1}`] : []
  const flags = ['--url', url, '--namespace', namespace, '--executors', executors, '--lease', leaseMs, ...faults]
  const child = spawn(process.execPath, [program, 'worker', ...flags.map(String)], {
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const closed = once(child, 'close')
  await until(() => text.includes(' serves ') || child.exitCode !== null)
  expect(text).toContain(' serves ')
  const pid = child.pid as number
  const running = (): boolean => child.exitCode === null && child.signalCode === null
  const signal = (name: NodeJS.Signals): void => {
    try {
      process.kill(-pid, name)
    } catch {
      // All of them are gone.
    }
  }
  return {
    pid,
    child,
    said: () => text,
    signal,
    async kill() {
      child.kill('SIGKILL')
      await closed
    },
    async [Symbol.asyncDispose]() {
      signal('SIGCONT')
      if (running()) child.kill('SIGKILL')
      await closed
      signal('SIGKILL')
    },
  }
}

/** Keys of a namespace on some servers. */
export async function keysOf(servers: readonly PrivateServer[], namespace: string): Promise<string[]> {
  const found = await Promise.all(servers.map((server) => raw(server, 'KEYS', `${namespace}:*`)))
  return found.flatMap((keys) => keys as string[])
}

/** Resolves when so many tasks are committed, with others still to come. */
export async function untilDone(execution: { status(): Promise<ExecutionStatus> }, tasks: number): Promise<void> {
  await until(async () => {
    const { stages, ended } = await execution.status()
    expect(ended).toBeUndefined()
    return stages.reduce((sum, { done }) => sum + done, 0) >= tasks
  })
}

/** False for a process that has ended and that nobody has asked for yet. */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2)[0] !== 'Z'
  } catch {
    return false
  }
}

/** What another client sees under one id: the execution's state, once it has ended. */
export async function endOf(mill: Mill, id: string): Promise<string> {
  let state = ''
  await until(async () => {
    state = (await (await mill.executions.get(id)).status()).state
    return state !== 'running' && state !== 'waiting'
  })
  return state
}
