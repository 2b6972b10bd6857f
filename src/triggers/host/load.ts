// Loads a trigger in a host: its options, its source, its code.
import { loadCode } from '../../code/load.ts'
import type { LoadedRealms } from '../../engine/executor/realms.ts'
import { readLarge } from '../../engine/large-values.ts'
import { realmOf } from '../../engine/realm.ts'
import type { Command, Environment, Failure } from '../../engine/runner.ts'
import { GearmillError, TriggerError } from '../../errors.ts'
import { decodeProgram, type StepProgram } from '../../pipeline/program.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { textMapOf } from '../../redis/replies.ts'
import { parseUrl } from '../../redis/url.ts'
import type { Watch } from '../../redis/user.ts'
import { answerMs, replyKey, type TriggerKeys } from '../keys.ts'
import type { TriggerOptions } from '../options.ts'
import { type CallEvent, commandSource } from '../sources/command.ts'
import { keySource } from '../sources/keys.ts'
import { scheduleSource, type Schedule } from '../sources/schedule.ts'
import type { EventSource, SourceDescription } from '../sources/source.ts'
import { streamSource } from '../sources/stream.ts'
import { BatchProgram, type BatchOutcome } from './batch-program.ts'
import type { EventBatch } from './event-batch.ts'
import { LoopBreaker } from './loop-breaker.ts'

export interface LoadedTrigger {
  readonly trigger: TriggerOptions
  readonly source: EventSource
  readonly program: BatchProgram
  /** Ticks that the seat has to make. */
  readonly schedule?: Schedule
  readonly breaker?: LoopBreaker
  readonly answer?: (batch: EventBatch, i: number, outcome: BatchOutcome) => readonly Command[]
}

export interface LoadContext {
  readonly deployment: Deployment
  readonly namespace: string
  readonly keys: TriggerKeys
  readonly environment: Environment
  readonly base: string
  readonly secret: string | undefined
  readonly known: (watch?: Watch) => Promise<ReadonlyMap<string, unknown>>
  /** Stops the trigger. */
  readonly halt: (failure: Failure) => void
  readonly realms: LoadedRealms
  /** Code of users is about to run, with this time limit in milliseconds (0: none). */
  readonly begins: (timeoutMs: number) => void
  readonly signal: AbortSignal
}

/** Undefined where the trigger is another revision now. Throws CAPTURE_*. */
export async function loadTrigger(
  name: string,
  revision: string,
  context: LoadContext,
): Promise<LoadedTrigger | undefined> {
  const { deployment, keys, environment } = context
  const key = keys.trigger(name)
  const fields = textMapOf(await deployment.command(key, ['HGETALL', key]))
  if (fields.get('rev') !== revision) return undefined
  const trigger = JSON.parse(fields.get('options') ?? '{}') as TriggerOptions
  const description = JSON.parse(fields.get('source') ?? '{}') as SourceDescription
  context.begins(trigger.timeoutMs)
  const breaker = description.kind === 'keys' ? new LoopBreaker(name, description, context.halt) : undefined
  const program = {
    execution: `trigger.${name}`,
    bytes: new Uint8Array(),
    functions: await functionsOf(fields, context, breaker && ((command, written) => breaker.wrote(command, written))),
  }
  const bytes = await readLarge(deployment, fields.get('program') ?? '')
  if (bytes.length === 0) throw new TriggerError('TRIGGER_UNKNOWN', `the program of trigger ${name} is gone`)
  if (description.kind === 'command') {
    const call = JSON.parse(Buffer.from(bytes).toString()) as StepProgram
    const f = program.functions[0] as (...args: readonly string[]) => unknown
    return {
      trigger,
      source: commandSource(name, keys.internal(name)),
      program: BatchProgram.ofFunction(
        { name, stages: [], program, environment },
        context.signal,
        (event) => f(...(event as CallEvent).arguments),
        call,
      ),
      answer: (batch, i, outcome) => replyTo(context.namespace, batch.records[i] as CallEvent, i, outcome),
    }
  }
  const { stages } = decodeProgram(bytes)
  const batches = await BatchProgram.open({ name, stages, program, environment }, context.signal)
  if (description.kind === 'keys') {
    const { database } = parseUrl(deployment.url)
    return {
      trigger,
      source: keySource(keys.internal(name), deployment, database),
      program: batches,
      ...(breaker === undefined ? {} : { breaker }),
    }
  }
  if (description.kind === 'schedule') {
    return { trigger, source: scheduleSource(keys.internal(name)), program: batches, schedule: description }
  }
  const { pattern, raw, binary } = description
  return { trigger, source: streamSource(pattern, raw, binary, deployment), program: batches }
}

async function functionsOf(
  fields: ReadonlyMap<string, string>,
  { deployment, base, secret, known, realms }: LoadContext,
  watch: Watch | undefined,
): Promise<readonly unknown[]> {
  const code = fields.get('code') ?? ''
  if (code === '') return []
  const bytes = await readLarge(deployment, code)
  if (bytes.length === 0) throw new GearmillError('CAPTURE_LOAD', 'the code of the trigger is missing')
  const realm = realmOf(fields.get('realm'))
  return loadCode(bytes, {
    // What is shared with others is not this trigger's alone.
    known: await known(realm === undefined ? watch : undefined),
    base,
    ...(secret === undefined ? {} : { secret }),
    ...(realm === undefined ? {} : { realm: await realms.state(realm) }),
  })
}

/** `{"ok": ...}` or `{"error": {code, message}}` in a list that whoever called waits for. */
function replyTo(namespace: string, { call }: CallEvent, i: number, outcome: BatchOutcome): readonly Command[] {
  const key = replyKey(namespace, call)
  return [
    ['RPUSH', key, replyText(i, outcome)],
    ['PEXPIRE', key, answerMs],
  ]
}

function replyText(i: number, outcome: BatchOutcome): string {
  const failure = outcome.failures.get(i)
  if (failure !== undefined) return JSON.stringify({ error: { code: failure.code, message: failure.message } })
  try {
    // A function, or what makes nothing of itself, is no JSON.
    return `{"ok":${JSON.stringify(outcome.results[i]) ?? 'null'}}`
  } catch (error) {
    const message = `the result is no JSON: ${error instanceof Error ? error.message : String(error)}`
    return JSON.stringify({ error: { code: 'PLAN_RECORD', message } })
  }
}
