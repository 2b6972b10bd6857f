// Commands: functions that any client of the server can call.
import { setTimeout as delay } from 'node:timers/promises'
import { checkFunction, refuse } from '../pipeline/options.ts'
import { callSite } from '../pipeline/site.ts'
import type { StepProgram } from '../pipeline/program.ts'
import type { LaunchRealm } from '../pipeline/run.ts'
import type { RegisterOptions, Trigger } from '../pipeline/trigger.ts'
import { ConnectError, TriggerError, catalogue, type ErrorCode } from '../errors.ts'
import { itemsOf, textOf } from '../redis/replies.ts'
import type { Argument, BlockingConnection, Deployment } from '../redis/deployment.ts'
import { RegisteredTrigger } from './handle.ts'
import { replyKey, type TriggerClient } from './keys.ts'
import { checkCommandOptions } from './options.ts'
import type { Triggers } from './registry.ts'

const defaultBatch = 32
const defaultTimeoutMs = 30_000
const connections = 16
const sliceMs = 5000
const retryMs = 100

/** A registered command. */
export interface Command<A extends readonly string[], R> extends Trigger {
  /** Calls it. Rejects with TRIGGER_CALL where the function threw, or where no answer came within 30 seconds. */
  call(...args: A): Promise<R>
  /** call() with another limit for the answer, in milliseconds. */
  callWithin(timeoutMs: number, ...args: A): Promise<R>
}

/** A function that is yet to be registered. */
export class CommandBuilder<A extends readonly string[], R> {
  readonly #name: string
  readonly #f: (...args: A) => R
  readonly #triggers: Triggers
  readonly #calls: Calls
  readonly #realm: LaunchRealm | undefined
  readonly #site = callSite()

  /** Throws PLAN_OPTION. */
  constructor(name: string, f: (...args: A) => R, triggers: Triggers, calls: Calls, realm?: LaunchRealm) {
    checkFunction('command', f)
    this.#name = name
    this.#f = f
    this.#triggers = triggers
    this.#calls = calls
    this.#realm = realm
  }

  /** Keeps it in Redis: any worker answers. */
  async register(
    options: Omit<RegisterOptions, 'name' | 'from' | 'retain' | 'onFailure'> = {},
  ): Promise<Command<A, Awaited<R>>> {
    checkCommandOptions(options)
    const { place, stack } = this.#site
    const text = `command('${this.#name}')`
    const call: StepProgram = { name: 'command', options: null, functions: [0], text, place, stack }
    await this.#triggers.register({
      kind: 'command',
      options: { batch: defaultBatch, ...options, name: this.#name },
      source: { kind: 'command' },
      program: Buffer.from(JSON.stringify(call)),
      functions: [{ value: this.#f, label: text }],
      realm: this.#realm,
    })
    return new RegisteredCommand<A, Awaited<R>>(this.#name, this.#calls)
  }
}

class RegisteredCommand<A extends readonly string[], R> extends RegisteredTrigger implements Command<A, R> {
  readonly #calls: Calls

  constructor(name: string, calls: Calls) {
    super(name, calls.client)
    this.#calls = calls
  }

  call(...args: A): Promise<R> {
    return this.callWithin(defaultTimeoutMs, ...args)
  }

  async callWithin(timeoutMs: number, ...args: A): Promise<R> {
    return (await this.#calls.call(this.name, args, timeoutMs)) as R
  }
}

/** Calls of this process: a few connections wait for the answers of all. */
export class Calls {
  readonly client: TriggerClient
  readonly #idle: BlockingConnection[] = []
  readonly #waiting: (() => void)[] = []
  readonly #open = new Set<BlockingConnection>()
  #count = 0

  constructor(client: TriggerClient) {
    this.client = client
  }

  get #deployment(): Deployment {
    return this.client.deployment
  }

  async call(name: string, args: readonly unknown[], timeoutMs: number): Promise<unknown> {
    const { namespace } = this.client
    if (typeof timeoutMs !== 'number' || !(timeoutMs >= 0)) {
      refuse('callWithin', 'the time limit to be milliseconds of at least 0', timeoutMs)
    }
    checkArguments(args)
    const id = textOf(await this.#deployment.call('call', [`${namespace}:{gm0}`], [name, ...args]).catch(refused))
    const deadline = performance.now() + timeoutMs
    const key = replyKey(namespace, id)
    for (;;) {
      const left = deadline - performance.now()
      if (left <= 0) {
        throw new TriggerError('TRIGGER_CALL', `${name} did not answer within ${timeoutMs} ms (call ${id})`)
      }
      const answer = await this.answer(key, Math.min(sliceMs, left))
      if (answer !== undefined) return answerOf(name, answer)
    }
  }

  /** Waits for the first item of a list; undefined where none came within so many milliseconds. */
  async answer(key: string, withinMs = sliceMs): Promise<string | undefined> {
    const connection = await this.#borrow(key)
    try {
      const reply = await connection.command(['BLPOP', key, Math.max(0.01, withinMs / 1000)])
      const answer = itemsOf(reply)[1]
      return answer === undefined ? undefined : textOf(answer)
    } catch (error) {
      // The answer waits in the server.
      if (!(error instanceof ConnectError && error.retryable)) throw error
      await delay(retryMs)
      return undefined
    } finally {
      this.#giveBack(connection)
    }
  }

  async #borrow(key: string): Promise<BlockingConnection> {
    for (;;) {
      const free = this.#idle.pop()
      if (free !== undefined) return free
      if (this.#count < connections) {
        this.#count += 1
        const connection = await this.#deployment.blocking(key)
        this.#open.add(connection)
        return connection
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #giveBack(connection: BlockingConnection): void {
    this.#idle.push(connection)
    this.#waiting.shift()?.()
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((connection) => connection.close()))
  }
}

function checkArguments(args: readonly unknown[]): asserts args is readonly Argument[] {
  for (const argument of args) {
    const isArgument = typeof argument === 'string' || typeof argument === 'number' || argument instanceof Uint8Array
    if (!isArgument) refuse('call', 'arguments that are texts', argument)
  }
}

function refused(error: unknown): never {
  const message = error instanceof Error ? error.message : String(error)
  const [, code, why] = /^ERR (TRIGGER_\w+) (.*)$/.exec(message) ?? []
  if (code === 'TRIGGER_UNKNOWN' || code === 'TRIGGER_CALL') throw new TriggerError(code, why ?? '', { cause: error })
  throw error
}

function answerOf(name: string, text: string): unknown {
  const answer = JSON.parse(text) as { ok?: unknown; error?: { code: string; message: string } }
  if (answer.error === undefined) return answer.ok
  const { code, message } = answer.error
  const told = (code in catalogue ? code : 'EXECUTION_RECORD') as ErrorCode
  throw new TriggerError('TRIGGER_CALL', `${name}: ${message} (${told})`)
}
