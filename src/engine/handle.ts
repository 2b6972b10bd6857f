// One submitted execution, as its client sees it: everything is read from the server, so any client can follow any execution.
import type { BlockStore } from '../blocks/store.ts'
import { decodeRecords } from '../codec/frames.ts'
import { ConnectError, ExecutionError } from '../errors.ts'
import type { Deployment } from '../redis/deployment.ts'
import { itemsOf, pairsOf, textMapOf, textOf } from '../redis/replies.ts'
import { decodeLetter, EffectCatalogue } from './effects.ts'
import type {
  ExecutionDeadLetter,
  EndedExecution,
  ExecutionHandle,
  ExecutionProfile,
  ExecutionState,
  ExecutionStatus,
  StageProgress,
} from './execution.ts'
import { profileOf } from './profile.ts'
import { failuresName, farMarker, noted, outputName, uploadName, type LaneKeys } from './keys.ts'
import { replayLetter } from './replay.ts'
import type { Failure, WrittenBy } from './runner.ts'

const progressMs = 100

/** What a handle needs of the client that made it. */
export interface HandleHost {
  readonly deployment: Deployment
  readonly namespace: string
  readonly blocks: BlockStore
  /** Resolves when the execution may have ended: an event, a gap in the events, or some seconds. */
  nextSign(execution: string): Promise<void>
  forgotten(execution: string): void
  /** Set when the client closes, which ends its local executions. */
  readonly closed: boolean
}

export class Handle implements ExecutionHandle {
  readonly id: string
  readonly #host: HandleHost
  readonly #lane: LaneKeys
  #ended: Promise<EndedExecution> | undefined

  constructor(id: string, lane: LaneKeys, host: HandleHost) {
    this.id = id
    this.#lane = lane
    this.#host = host
  }

  get #x(): string {
    return this.#lane.executions + this.id
  }

  async #fields(): Promise<ReadonlyMap<string, string>> {
    const fields = textMapOf(await this.#host.deployment.command(this.#x, ['HGETALL', this.#x]))
    if (!fields.has('state')) {
      const message = `the server does not know execution ${this.id}`
      throw new ExecutionError('EXECUTION_LOST', message, { execution: this.id })
    }
    return fields
  }

  async status(): Promise<ExecutionStatus> {
    return statusOf(this.id, await this.#fields())
  }

  async profile(): Promise<ExecutionProfile> {
    return profileOf(this.id, await this.#fields())
  }

  ended(): Promise<EndedExecution> {
    this.#ended ??= this.#waitForEnd()
    this.#ended.catch(() => (this.#ended = undefined))
    return this.#ended
  }

  async #waitForEnd(): Promise<EndedExecution> {
    for (;;) {
      // Asked for before the state is read, so that an end in between is not missed.
      const sign = this.#host.nextSign(this.id)
      const fields = await this.#fields().catch((error: unknown) => {
        this.#throwIfClosed(error)
        throw error
      })
      this.#throwIfClosed()
      const { state, errors, written } = statusOf(this.id, fields)
      if (state === 'done' || state === 'failed' || state === 'aborted') {
        const failure = fields.get('failure')
        const why = failure === undefined ? {} : { failure: JSON.parse(failure) as Failure }
        const by = fields.get('by') as WrittenBy | undefined
        return { id: this.id, state, errors, written, ...why, ...(by === undefined ? {} : { writtenBy: by }) }
      }
      await sign
    }
  }

  #throwIfClosed(cause?: unknown): void {
    if (!this.#host.closed) return
    throw new ConnectError('CONNECT_CLOSED', `the mill was closed while execution ${this.id} ran`, { cause })
  }

  async *frames(): AsyncIterable<Uint8Array> {
    await this.ended()
    const fields = await this.#fields()
    const last = Number(fields.get('stages')) - 1
    if (fields.get('state') !== 'done' || Number(fields.get(`p${last}`)) === 0) return
    const winners = await this.#hash(`${this.#x}:w`, `${last}.*`)
    for (let task = 0; task < Number(fields.get(`c${last}`)); task++) {
      const token = winners.get(`${last}.${task}`)?.toString() ?? '1'
      yield* this.#host.blocks.read(this.id, outputName(last, task, token, 0))
    }
  }

  async *failures(): AsyncIterable<Failure> {
    await this.ended()
    const blocks = [...(await this.#hash(`${this.#x}:e`, '*'))]
      .map(([name, token]) => ({ place: name.split('.').map(Number), token: token.toString() }))
      .sort((a, b) => comparePlaces(a.place, b.place))
    for (const { place, token } of blocks) {
      const [stage = 0, task = 0] = place
      for await (const frame of this.#host.blocks.read(this.id, failuresName(stage, task, token))) {
        yield* decodeRecords(frame) as Failure[]
      }
    }
    for (const { place, letter } of await this.#letters()) yield letterFailure(place, letter)
  }

  async #letters(): Promise<{ field: string; place: number[]; letter: Buffer }[]> {
    return [...(await this.#hash(`${this.#x}:letters`, '*'))]
      .map(([field, letter]) => ({ field, place: field.split('.').map(Number), letter }))
      .sort((a, b) => comparePlaces(a.place, b.place))
  }

  async deadLetters(): Promise<ExecutionDeadLetter[]> {
    return (await this.#letters()).map(({ field, letter }) => {
      const { reason, commands } = decodeLetter(letter)
      return { id: field, reason, commands: commands.map((command) => command.map((part) => part.toString())) }
    })
  }

  async replay(): Promise<{ applied: number; left: number }> {
    const { deployment, namespace } = this.#host
    const catalogue = new EffectCatalogue(deployment)
    let applied = 0
    let left = 0
    for (const { field, letter } of await this.#letters()) {
      const place = { namespace, execution: this.id, key: `${this.#x}:letters`, field }
      const replayed = await replayLetter(deployment, catalogue, place, letter)
      applied += replayed.applied
      if (replayed.left) left += 1
    }
    return { applied, left }
  }

  /** A hash that may be large, with binary values. */
  async #hash(key: string, match: string): Promise<Map<string, Buffer>> {
    const found = new Map<string, Buffer>()
    let cursor = '0'
    do {
      const args = ['HSCAN', key, cursor, 'MATCH', match, 'COUNT', 500]
      const reply = itemsOf(await this.#host.deployment.command(key, args, { binary: true }))
      cursor = textOf(reply[0])
      for (const [name, value] of pairsOf(reply[1])) found.set(textOf(name), value as Buffer)
    } while (cursor !== '0')
    return found
  }

  async *progress(): AsyncIterable<ExecutionStatus> {
    let before = ''
    for (;;) {
      const sign = this.#host.nextSign(this.id)
      const status = await this.status().catch((error: unknown) => {
        this.#throwIfClosed(error)
        throw error
      })
      this.#throwIfClosed()
      const now = JSON.stringify(status)
      if (now !== before) yield status
      before = now
      if (status.ended !== undefined) return
      await Promise.race([sign, new Promise((resolve) => setTimeout(resolve, progressMs))])
    }
  }

  async abort(): Promise<void> {
    const failure: Failure = { code: 'EXECUTION_ABORTED', message: `execution ${this.id} was aborted` }
    await this.#host.deployment.call('abort', [this.#x, this.#lane.events], [JSON.stringify(failure)])
  }

  async remove(): Promise<void> {
    await this.abort()
    const fields = await this.#fields().catch(() => undefined)
    if (fields) {
      const others = await Promise.all([this.#hash(`${this.#x}:w`, '*'), this.#hash(`${this.#x}:e`, '*')])
      await this.#host.blocks.remove(this.id, blockNames(fields, others))
      await this.#removeNoted()
      await this.#host.deployment.call('forget', [this.#x, this.#lane.index], [this.id])
    }
    this.#host.forgotten(this.id)
  }

  /** What its tasks had lying about in other slots when they were ended. */
  async #removeNoted(): Promise<void> {
    const { deployment, namespace } = this.#host
    const keys: string[] = []
    for (const [field, value] of await this.#hash(noted.key(this.#x), '*')) {
      const subject = noted.subject(field)
      if (noted.isTemporary(field)) keys.push(subject)
      if (!noted.isMarkers(field)) continue
      const slots = value.toString().split(' ').map(Number)
      keys.push(...slots.map((slot) => farMarker(namespace, slot, this.id, subject)))
    }
    await Promise.all(keys.map((key) => deployment.command(key, ['UNLINK', key])))
  }
}

function statusOf(id: string, fields: ReadonlyMap<string, string>): ExecutionStatus {
  const number = (name: string): number => Number(fields.get(name) ?? 0)
  const stages: StageProgress[] = Array.from({ length: number('stages') }, (_, k) => ({
    tasks: number(`c${k}`),
    done: number(`k${k}.done`),
    in: number(`k${k}.in`),
    out: number(`k${k}.out`),
    bytes: number(`k${k}.bytes`),
  }))
  return {
    id,
    state: fields.get('state') as ExecutionState,
    created: number('created'),
    ...(fields.has('ended') ? { ended: number('ended') } : {}),
    stage: Math.max(0, number('stage')),
    stages,
    errors: number('errors'),
    written: number('written'),
    retries: number('retries'),
  }
}

/** Every block that the execution may have written, for stores that cannot list. `others`: attempts other than the first. */
function* blockNames(
  fields: ReadonlyMap<string, string>,
  others: readonly ReadonlyMap<string, Buffer>[],
): Iterable<string> {
  const number = (name: string): number => Number(fields.get(name) ?? 0)
  function* of(stage: number, task: number, token: string): Iterable<string> {
    yield failuresName(stage, task, token)
    for (let partition = 0; partition < number(`p${stage}`); partition++) {
      yield outputName(stage, task, token, partition)
    }
  }
  for (let i = 0; i < number('uploads'); i++) yield uploadName(i)
  for (let stage = 0; stage < number('stages'); stage++) {
    for (let task = 0; task < number(`c${stage}`); task++) yield* of(stage, task, '1')
  }
  for (const tokens of others) {
    for (const [name, token] of tokens) {
      const [stage = 0, task = 0] = name.split('.').map(Number)
      yield* of(stage, task, token.toString())
    }
  }
}

function comparePlaces(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

function letterFailure(place: readonly number[], bytes: Buffer): Failure {
  const { reason, commands } = decodeLetter(bytes)
  const [stage, task, record] = place
  const [name, key] = commands[0] ?? []
  const rest = commands.length > 1 ? ` (and ${commands.length - 1} more commands of the record were not applied)` : ''
  return {
    code: 'EXECUTION_EFFECT',
    message: `${name?.toString() ?? 'a command'} on '${key?.toString() ?? ''}' was refused: ${reason}${rest}`,
    place: `stage ${stage}, task ${task}, record ${record}`,
    record: commands.map((command) => command.map((argument) => argument.toString())),
  }
}
