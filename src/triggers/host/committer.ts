// Commits batches: cuts each into calls that hold the server for a few milliseconds at most; in each, the acknowledgement of
// some events and their effects are one. Calls follow each other, so that the effects of a stream keep its order. Where
// effects are many, or of other slots, the call acknowledges the events and freezes the effects as an outbox, which is
// applied before anything else is committed.
import type { EffectCatalogue } from '../../engine/effects.ts'
import { sizeOf } from '../../engine/effects.ts'
import type { Command, Failure } from '../../engine/runner.ts'
import { failureOf } from '../../engine/failure.ts'
import { TriggerError } from '../../errors.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf } from '../../redis/replies.ts'
import type { TriggerOptions } from '../options.ts'
import type { BatchOutcome } from './batch-program.ts'
import { packEffects, type EffectList } from './effect-packing.ts'
import { packPlain, timeOf, type EventBatch, type KeptEvent } from './event-batch.ts'
import type { Outboxes } from './outboxes.ts'

/** One call: a thousand HINCRBY take a server 2 ms. */
const mostCommands = 1000
const mostIds = 1000
const mostBytes = 256 * 1024
/** What failed so will fail again. */
const hopelessCodes = new Set(['EXECUTION_CRASHED', 'EXECUTION_TIMEOUT', 'EXECUTION_MEMORY', 'PLAN_ENCODING'])
const longestBackoffMs = 60 * 60 * 1000

export interface CommitterOptions {
  readonly deployment: Deployment
  readonly catalogue: EffectCatalogue
  readonly outboxes: Outboxes
  readonly group: string
  readonly trigger: TriggerOptions
  /** Entries are removed once they are processed. */
  readonly deletes: boolean
  readonly fenceField: (stream: string) => string
  readonly fence: string
  /** Seats of one trigger have the same fence. */
  readonly seat: number
  /** Commands that answer for an event, whatever became of it. */
  readonly answer?: ((batch: EventBatch, i: number, outcome: BatchOutcome) => readonly Command[]) | undefined
  /** A retry is due in so many milliseconds. */
  readonly retryIn: (ms: number) => void
  /** The policy stops the trigger. */
  readonly halt: (failure: Failure) => void
  /** How long an event took, in milliseconds. */
  readonly took: (ms: number) => void
}

/** A later holder has the seat: what this one does is refused. */
export class FencedError extends TriggerError {
  constructor() {
    super('TRIGGER_FENCED', 'another worker has the place')
  }
}

interface Unit {
  ids: string[]
  effects: EffectList[number][]
  commands: number
  bytes: number
  far: boolean
  events: number
  ok: number
  failed: Argument[]
  error: string
}

const emptyUnit = (): Unit => ({
  ids: [],
  effects: [],
  commands: 0,
  bytes: 0,
  far: false,
  events: 0,
  ok: 0,
  failed: [],
  error: '',
})

export class Committer {
  readonly #options: CommitterOptions
  #boxes = 0

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** Resolves when all of the batch is committed. Throws FencedError. */
  async commit(batch: EventBatch, outcome: BatchOutcome): Promise<void> {
    await this.#learn(outcome)
    const slot = this.#options.deployment.topology.cluster ? this.#options.deployment.slotOf(batch.stream) : 0
    let unit = emptyUnit()
    const whole = outcome.together.length > 0
    for (const [i, id] of batch.ids.entries()) {
      const last = unit.ids.at(-1)
      if (last !== id) {
        const full = unit.commands >= mostCommands || unit.ids.length >= mostIds || unit.bytes >= mostBytes
        if (full && !whole) {
          await this.#send(batch, unit)
          unit = emptyUnit()
        }
        unit.ids.push(id)
      }
      this.#addEvent(batch, i, outcome, unit, slot)
    }
    if (whole) this.#addCommands(unit, batch.field(0), outcome.together, slot)
    await this.#send(batch, unit)
  }

  async #learn({ effects, together }: BatchOutcome): Promise<void> {
    const { catalogue } = this.#options
    const learn = async (commands: readonly Command[]): Promise<void> => {
      for (const command of commands) if (!catalogue.knows(command)) await catalogue.learn(command)
    }
    for (const commands of effects) if (commands?.some((command) => !catalogue.knows(command))) await learn(commands)
    await learn(together)
  }

  #addEvent(batch: EventBatch, i: number, outcome: BatchOutcome, unit: Unit, slot: number): void {
    const { answer } = this.#options
    unit.events += 1
    const until = outcome.waits?.[i]
    if (until !== undefined && !outcome.failures.has(i)) {
      unit.failed.push(
        batch.field(i),
        0,
        `@${Math.ceil(until)}`,
        packPlain({ event: batch.kept(i) } satisfies KeptEvent),
      )
      return
    }
    const commands = outcome.effects[i]
    let failure = outcome.failures.get(i)
    if (failure === undefined && commands !== undefined) failure = this.#refusal(commands)
    if (failure === undefined) {
      unit.ok += 1
      if (commands !== undefined) {
        this.#addCommands(unit, this.#origin(batch, i, unit), commands, slot)
      }
    } else {
      this.#addFailure(batch, i, failure, unit)
    }
    const reply = answer?.(batch, i, outcome)
    // Answers lie in the slot of the calls.
    if (reply !== undefined) this.#addCommands(unit, this.#origin(batch, i, unit), reply, undefined)
  }

  /** Within one call events are told apart by the position of their id; those of a packed entry by their whole name. */
  #origin(batch: EventBatch, i: number, unit: Unit): number | string {
    const id = batch.ids[i]
    const packed = batch.ids[i - 1] === id || batch.ids[i + 1] === id
    return packed ? batch.field(i) : unit.ids.length
  }

  #addCommands(unit: Unit, origin: number | string, commands: readonly Command[], slot: number | undefined): void {
    const { catalogue, deployment } = this.#options
    for (const command of commands) {
      unit.effects.push(origin, plainOf(command))
      unit.bytes += sizeOf(command)
      if (slot !== undefined && deployment.topology.cluster && catalogue.slotOf(command) !== slot) unit.far = true
    }
    unit.commands += commands.length
  }

  #refusal(commands: readonly Command[]): Failure | undefined {
    try {
      for (const command of commands) this.#options.catalogue.slotOf(command)
      return undefined
    } catch (error) {
      return failureOf(error, 'EXECUTION_RECORD')
    }
  }

  #addFailure(batch: EventBatch, i: number, failure: Failure, unit: Unit): void {
    const { trigger, halt, retryIn } = this.#options
    const tried = batch.attempts(i) + 1
    const { code, message, stack } = failure
    const kept: KeptEvent = { event: batch.kept(i), code, message, ...(stack === undefined ? {} : { stack }) }
    unit.error = JSON.stringify({ code, message, ...(stack === undefined ? {} : { stack: stack.slice(0, 4000) }) })
    let delay = -1
    const hopeless = hopelessCodes.has(failure.code)
    if (trigger.replies) {
      // Who called is told; there is nobody left to try again for.
      return
    }
    if (tried <= trigger.retries && !hopeless) {
      delay = Math.min(longestBackoffMs, trigger.backoffMs * 2 ** (tried - 1))
      retryIn(delay)
    } else if (trigger.afterwards === 'stop') {
      delay = 0
      halt(failure)
    }
    const attempts = delay === 0 && trigger.afterwards === 'stop' && tried > trigger.retries ? 0 : tried
    const when = delay >= 0 && batch.comesAgain !== undefined ? batch.comesAgain(delay) : delay
    unit.failed.push(batch.field(i), attempts, when, packPlain(kept))
  }

  async #send(batch: EventBatch, unit: Unit): Promise<void> {
    if (unit.ids.length === 0) return
    const { deployment, group, fence, seat, fenceField, deletes, outboxes } = this.#options
    const { home, stream, mode } = batch
    const boxed = unit.far || unit.commands > 2 * mostCommands
    const box = boxed ? packPlain([unit.ok, ...named(unit, batch)]) : ''
    // Names of outboxes sort by the time they were made.
    const boxName = boxed
      ? `${Date.now().toString(36).padStart(9, '0')}.${fence}.${seat}.${String(this.#boxes++).padStart(9, '0')}`
      : ''
    const effects = boxed || unit.effects.length === 0 ? '' : packEffects(unit.effects)
    const newest = unit.ids.at(-1) as string
    const reply = itemsOf(
      await deployment.call(
        'trigger_commit',
        [stream, home.fences, home.counters, home.retries, home.due, home.letters, home.outboxes],
        [
          ...[
            group,
            fenceField(stream),
            fence,
            batch.closes === true ? 'closed' : mode,
            deletes ? '1' : '',
            unit.events,
            unit.ok,
            unit.error,
          ],
          ...[box, boxName, effects, unit.ids.length, ...unit.ids, ...unit.failed],
        ],
      ),
    )
    if (numberOf(reply[0]) < 0) throw new FencedError()
    if (mode === 'new') this.#options.took(Math.max(0, Date.now() - timeOf(newest)))
    if (boxed) await outboxes.drain(home)
  }
}

/** Effects by the whole names of their events: an outbox outlives the call that its positions are of. */
function named(unit: Unit, batch: EventBatch): unknown[] {
  const byId = new Map<string, string>()
  for (const [i, id] of batch.ids.entries()) if (!byId.has(id)) byId.set(id, batch.field(i))
  return unit.effects.map((value, i) =>
    i % 2 === 0 && typeof value === 'number' ? (byId.get(unit.ids[value - 1] as string) ?? '') : value,
  )
}

/** Most commands are texts already. */
function plainOf(command: Command): readonly (string | Uint8Array)[] {
  for (const argument of command) if (typeof argument === 'number') return command.map(argumentOf)
  return command as readonly (string | Uint8Array)[]
}

function argumentOf(argument: Argument): string | Uint8Array {
  return typeof argument === 'number' ? String(argument) : argument
}
