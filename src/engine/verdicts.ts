// What becomes of a task that this worker holds: the server is told, so that it is done, tried again by whoever is free, or
// ends its execution.
import type { Deployment, Reply } from '../redis/deployment.ts'
import { itemsOf } from '../redis/replies.ts'
import { type AttemptState, type Death, backoffMs, encodeAttempts, judgeDeath } from './attempts.ts'
import type { Arrival } from './intake.ts'
import type { Logger } from './logger.ts'
import type { TaskMessage, TaskOutcome } from './protocol.ts'
import type { Failure } from './runner.ts'

/** Before a task that this worker cannot run is offered to others again. */
export const unableDelayMs = 250
const laterDelayMs = 500
const defaultAttempts = 3
/** No code of the user had run: one attempt alone, where more are not allowed, is not used up by that. */
const atLeastDefault = (most: number): number => (most === 0 ? 0 : Math.max(most, defaultAttempts))

export interface HeldTask {
  readonly arrival: Arrival
  readonly message: TaskMessage
  readonly attempts: AttemptState
  /** Given back or judged: what its executor still says of it means nothing. */
  over?: true
}

export interface VerdictsOptions {
  readonly deployment: Deployment
  readonly worker: string
  readonly logger: Logger
  /** It is to be tried again after `delayMs`. */
  readonly returned: (held: HeldTask, delayMs: number) => void
  /** This worker has it no more. */
  readonly released: (held: HeldTask) => void
}

export class Verdicts {
  readonly #options: VerdictsOptions

  constructor(options: VerdictsOptions) {
    this.#options = options
  }

  /** An executor came to the end of it. */
  async ended(held: HeldTask, outcome: TaskOutcome): Promise<void> {
    await this.#orLeave(held, () => this.#settle(held, outcome))
  }

  /** Its executor died; `maxAttempts` is unknown where that was before it had read it. */
  async died(held: HeldTask, death: Death, maxAttempts: number | undefined): Promise<void> {
    await this.#orLeave(held, async () =>
      this.#judge(held, death, maxAttempts ?? atLeastDefault(await this.#maxAttempts(held))),
    )
  }

  async #orLeave(held: HeldTask, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      // The server is gone. The lease runs out, and whoever takes the task over begins where this attempt did.
      held.over = true
      this.#options.logger.warn(`after task ${nameOf(held)}: ${String(error)}`)
      this.#options.released(held)
    }
  }

  async #judge(held: HeldTask, death: Death, maxAttempts: number): Promise<void> {
    const { again, state, delayMs } = judgeDeath(held.attempts, death, maxAttempts)
    this.#options.logger.warn(`task ${nameOf(held)}: ${death.message}${again ? '; it is tried again' : ''}`)
    const times = state.deaths === 1 ? '' : ` (attempt ${state.deaths})`
    const place = placeOf(held)
    const message = `${place}: ${death.message}${times}`
    const failure = { ...death.thrown?.failure, code: death.code, message, place }
    await this.#fail(held, delayMs, true, state, again ? undefined : failure)
  }

  /** To be tried again after `delayMs`, as if it had not been here. */
  async giveBack(held: HeldTask, delayMs: number): Promise<void> {
    await this.#fail(held, delayMs, false, held.attempts, undefined)
  }

  async #settle(held: HeldTask, outcome: TaskOutcome): Promise<void> {
    const { attempts } = held
    switch (outcome.kind) {
      case 'settled':
        this.#options.released(held)
        break
      case 'fatal':
        await this.#fail(held, 0, true, attempts, outcome.failure)
        break
      case 'unable':
        await this.#pass(held, outcome.failure)
        break
      case 'later':
        this.#options.logger.warn(`task ${nameOf(held)} is tried again: ${outcome.failure.message}`)
        await this.#wait(held, outcome.failure)
        break
      case 'broken': {
        const next = { ...attempts, deaths: attempts.deaths + 1 }
        const most = await this.#maxAttempts(held)
        const over = most > 0 && next.deaths >= most
        const delay = backoffMs[Math.min(next.deaths, backoffMs.length) - 1] as number
        this.#options.logger.warn(`task ${nameOf(held)} failed: ${outcome.failure.message}`)
        await this.#fail(held, delay, true, next, over ? { place: placeOf(held), ...outcome.failure } : undefined)
      }
    }
  }

  /** Work waits for the server to have room, but no longer than a task may take. */
  async #wait(held: HeldTask, failure: Failure): Promise<void> {
    const timeoutMs = Number((await this.#field(held, 'timeout')) ?? 0)
    const now = Date.now()
    const { waitingSince = now } = held.attempts
    const over = timeoutMs > 0 && now - waitingSince >= timeoutMs
    const message = `${failure.message} (for ${timeoutMs} ms, the time limit of a task)`
    const ending = over ? { ...failure, place: placeOf(held), message } : undefined
    await this.#fail(held, laterDelayMs, false, { ...held.attempts, waitingSince }, ending)
  }

  async #maxAttempts(held: HeldTask): Promise<number> {
    return Number((await this.#field(held, 'max')) ?? defaultAttempts)
  }

  #field(held: HeldTask, name: string): Promise<Reply> {
    const x = held.arrival.lane.executions + held.message.execution
    return this.#options.deployment.command(x, ['HGET', x, name])
  }

  /** To a worker that has what it needs; the execution fails when no live one does. */
  async #pass(held: HeldTask, failure: Failure): Promise<void> {
    const { deployment, worker } = this.#options
    const unable = [...new Set([...held.attempts.unable, worker])]
    const { live } = held.arrival.lane
    const workers = itemsOf(await deployment.command(live, ['ZRANGE', live, 0, 999])).map(String)
    const nobody = workers.every((each) => unable.includes(each))
    await this.#fail(held, unableDelayMs, false, { ...held.attempts, unable }, nobody ? failure : undefined)
  }

  /** Takes the task off this worker: to be tried again after `delayMs`, or with a failure that ends its execution. */
  async #fail(
    held: HeldTask,
    delayMs: number,
    counted: boolean,
    state: AttemptState,
    failure: Failure | undefined,
  ): Promise<void> {
    if (held.over) return
    held.over = true
    const { lane, id } = held.arrival
    const { message } = held
    try {
      await this.#options.deployment.call(
        'fail',
        [lane.executions + message.execution, lane.tasks, lane.delayed, lane.events],
        [
          ...[id, message.stage, message.task, message.epoch, message.attempt + 1, delayMs, counted ? 1 : 0],
          ...[encodeAttempts(state), failure ? JSON.stringify(failure) : '', this.#options.worker],
        ],
      )
      if (!failure) this.#options.returned(held, delayMs)
    } catch (error) {
      // Its lease runs out, and whoever takes it over begins where this attempt did.
      this.#options.logger.warn(`giving back task ${nameOf(held)}: ${String(error)}`)
    }
    this.#options.released(held)
  }
}

function placeOf({ message: { stage, task } }: HeldTask): string {
  return `stage ${stage}, task ${task}`
}

function nameOf(held: HeldTask): string {
  return `${held.message.execution} ${placeOf(held)}`
}
