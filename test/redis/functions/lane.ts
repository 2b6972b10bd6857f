// One lane on the shared server, for specs of the server functions: submits executions and hands out entries by hand.
import { afterAll, beforeAll } from 'vitest'
import { laneKeys, type LaneKeys } from '../../../src/engine/keys.ts'
import { connectDeployment } from '../../../src/redis/connect.ts'
import type { Argument, Deployment, Reply } from '../../../src/redis/deployment.ts'
import { streamEntriesOf } from '../../../src/redis/replies.ts'
import { flush, standalone } from '../../fixtures/servers.ts'

export interface Lane {
  readonly keys: LaneKeys
  readonly deployment: Deployment
  command(...args: readonly [string, ...Argument[]]): Promise<Reply>
  call(name: string, keys: readonly string[], ...args: readonly Argument[]): Promise<Reply>
  /** Submits an execution of stages with so many tasks; returns the key of its hash. */
  submit(id: string, tasks: readonly number[], options?: Partial<SubmitArguments>): Promise<string>
  /** Hands out entries to a consumer: their ids. */
  read(consumer: string, count?: number): Promise<string[]>
  /** The fields of a hash. */
  hash(key: string): Promise<Map<string, string>>
  commit(x: string, entry: string, task: Partial<CommitArguments>): Promise<Reply>
}

export interface SubmitArguments {
  readonly leaseMs: number
  readonly window: number
  readonly delayMs: number
  readonly maxErrors: number
}

export interface CommitArguments {
  readonly stage: number
  readonly task: number
  readonly epoch: number
  readonly token: string
  readonly failed: number
  readonly written: number
  readonly letters: number
  readonly run: string
  /** Records with their commands. */
  readonly effects: readonly (readonly (readonly string[])[])[]
}

let lanes = 0

/** A lane for the tests of one file; call it in a describe or at the top. */
export function useLane(): Lane {
  let deployment: Deployment
  const keys = laneKeys(`f${process.pid}.${lanes++}`, 'gm0', 'spec')
  beforeAll(async () => {
    deployment = await connectDeployment((await standalone()).url)
  })
  afterAll(async () => {
    await deployment.close()
    await flush()
  })
  const lane: Lane = {
    keys,
    get deployment() {
      return deployment
    },
    command: (...args) => deployment.command(keys.tasks, args),
    call: (name, names, ...args) => deployment.call(name, names, args),
    async submit(id, tasks, { leaseMs = 0, window = 100, delayMs = 0, maxErrors = -1 } = {}) {
      const x = keys.executions + id
      await lane.command('SET', `${x}:p`, 'program')
      const table = tasks.flatMap((count, k) => [`c${k}`, count, `p${k}`, 1])
      const settings = [id, 'test', 'spec', 60_000, leaseMs, window, delayMs, 1000, 3, 0, maxErrors, 0]
      const names = [x, keys.tasks, keys.delayed, keys.events, keys.index]
      await deployment.call('submit', names, [...settings, 1, 'stages', tasks.length, ...table])
      return x
    },
    async read(consumer, count = 1) {
      const reply = await lane.command(
        ...(['XREADGROUP', 'GROUP', 'gm', consumer, 'COUNT', count, 'STREAMS', keys.tasks, '>'] as const),
      )
      return streamEntriesOf(reply).map(({ id }) => id)
    },
    async hash(key) {
      const reply = (await lane.command('HGETALL', key)) as Map<string, string>
      return new Map(reply)
    },
    commit(
      x,
      entry,
      { stage = 0, task = 0, epoch = 0, token = '1', failed = 0, written = 0, letters = 0, effects = [], run = '' },
    ) {
      const packed = packedEffects(effects)
      const args = [
        entry,
        stage,
        task,
        epoch,
        token,
        10,
        5,
        0,
        failed,
        written,
        letters,
        `${stage}.${task}.`,
        run,
        0,
        ...packed,
      ]
      return deployment.call('commit', [x, keys.tasks, keys.events, keys.counters], args)
    },
  }
  return lane
}

/** As the functions take them: record, commands, and per command its length and arguments. */
export function packedEffects(records: readonly (readonly (readonly string[])[])[]): Argument[] {
  return records.flatMap((commands, record) => [
    record,
    commands.length,
    ...commands.flatMap((command) => [command.length, ...command]),
  ])
}
