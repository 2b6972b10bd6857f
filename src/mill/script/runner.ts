// Runs a script in an executor. It runs once: where its executor dies, the next attempt says so, and at which line it was.
import { verify } from '../../code/sign.ts'
import { importFrom } from '../../code/modules.ts'
import { encodeRecords } from '../../codec/frames.ts'
import type { EngineClient } from '../../engine/client.ts'
import { failureOf } from '../../engine/failure.ts'
import { laneKeys, laneOfExecution } from '../../engine/keys.ts'
import type { Command, Environment, Failure, Program, Submitter, TaskContext, TaskRunner } from '../../engine/runner.ts'
import { ExecutionError, GearmillError, PlanError } from '../../errors.ts'
import { engineClient, isLocal } from './engine.ts'
import { scriptScope } from './names.ts'
import { parseScript, scriptName, type ParsedScript } from './source.ts'
import { valueOf } from './value.ts'

/** What a script's program bytes say, as JSON. */
export interface ScriptProgram {
  readonly script: string
  /** Hex, '' where it is not signed. */
  readonly signature: string
  /** Somebody waits for the answer at a list. */
  readonly reply: boolean
}

/** How long an answer waits for whoever asked, in milliseconds. */
const replyMs = 60_000
const mostErrors = 10
/** Time limit of a batch of the triggers that a script registers, in milliseconds. */
const triggerTimeoutMs = 300_000

// All that takes time is done here: it is not the script's.
export default async function scriptRunner(program: Program, environment: Environment): Promise<TaskRunner> {
  const { execution, bytes } = program
  const { submitter } = environment
  const said = JSON.parse(new TextDecoder().decode(bytes)) as ScriptProgram
  if (submitter === undefined) {
    throw new ExecutionError('EXECUTION_NO_WORKER', 'this process runs no scripts', { execution })
  }
  permit(said, submitter, execution)
  const script = readScript(said.script)
  const client = await engineClient(environment, submitter)
  if (said.reply) client.keepAlive(execution)
  const isFirst = await begins(execution, environment, submitter)
  return new ScriptRunner({ id: execution, reply: said.reply, script, environment, submitter, client, isFirst })
}

function readScript(text: string): ParsedScript | Error {
  try {
    return parseScript(text)
  } catch (error) {
    if (error instanceof PlanError) return error
    throw error
  }
}

/** Whether no attempt before has begun: what a script did is not done twice. */
async function begins(id: string, environment: Environment, { group }: Submitter): Promise<boolean> {
  const { deployment, namespace, worker } = environment
  const x = laneKeys(namespace, laneOfExecution(id), group).executions + id
  return (await deployment.command(x, ['HSETNX', x, 'ran', worker])) === 1
}

/** Throws EXECUTION_SCRIPT_REFUSED, or CAPTURE_SIGNATURE for a signature of somebody else. */
function permit({ script, signature }: ScriptProgram, submitter: Submitter, execution: string): void {
  const { secret, allowScripts } = submitter
  if (secret !== undefined && signature !== '') {
    return verify(Buffer.from(script), Buffer.from(signature, 'hex'), secret, 'script')
  }
  // What a client gives to its own executors is as good as a function that it ships to them.
  if (allowScripts || (isLocal(submitter) && secret === undefined)) return
  const message = 'no live worker runs scripts that are not signed: they were started without --allow-scripts'
  throw new ExecutionError('EXECUTION_SCRIPT_REFUSED', message, { execution })
}

interface ScriptParts {
  readonly id: string
  readonly reply: boolean
  /** Or why it cannot be parsed. */
  readonly script: ParsedScript | Error
  readonly environment: Environment
  readonly submitter: Submitter
  readonly client: EngineClient
  /** No attempt before this one has begun. */
  readonly isFirst: boolean
}

class ScriptRunner implements TaskRunner {
  readonly #parts: ScriptParts
  #mayRun: boolean

  constructor(parts: ScriptParts) {
    this.#parts = parts
    this.#mayRun = parts.isFirst
  }

  async run(context: TaskContext): Promise<void> {
    const { script } = this.#parts
    if (script instanceof Error) {
      return this.#fail(context, failureOf(script, 'EXECUTION_RECORD'), lineIn(script.message))
    }
    if (this.#mayRun) {
      this.#mayRun = false
      return this.#runOnce(context, script)
    }
    // An attempt before this one may have found the line that ends its process.
    let found: { readonly failure: Failure; readonly line: number } | undefined
    for (const line of script.lines) context.guard(line, 1, (failure) => (found ??= { failure, line }))
    if (found !== undefined) return this.#fail(context, found.failure, found.line)
    const message = 'the worker that ran the script ended; what it had started goes on'
    return this.#fail(context, { code: 'EXECUTION_CRASHED', message }, undefined)
  }

  async #runOnce(context: TaskContext, script: ParsedScript): Promise<void> {
    const { id, environment, submitter, client } = this.#parts
    const { leaseMs, base } = submitter
    const scope = scriptScope({ id, client, environment, timeoutMs: triggerTimeoutMs, leaseMs })
    const abort = (): void => void scope.abort()
    context.signal.addEventListener('abort', abort)
    let line = script.lines[0] ?? 1
    const at = (now: number): void => {
      line = now
      context.guard(now, 1)
    }
    at(line)
    try {
      const run = script.compile([...scope.names.keys()])
      const load = importFrom(base)
      // Node warns once in a process about a script's own import(), on stderr: this one is silent.
      if (script.imports) await load('node:module')
      const value = await valueOf(await run(...scope.names.values(), at, load))
      await context.output(0).append(encodeRecords([value]))
      context.count({ in: 1, out: 1 })
      await this.#answer(context, JSON.stringify({ ok: value }))
    } catch (thrown) {
      await this.#fail(context, failureOfScript(thrown), lineIn(stackOf(thrown)) ?? line)
    } finally {
      context.signal.removeEventListener('abort', abort)
      await scope.close()
    }
  }

  async #fail(context: TaskContext, failure: Failure, line: number | undefined): Promise<void> {
    const message =
      line === undefined || lineIn(failure.message) ? failure.message : `${scriptName}:${line}: ${failure.message}`
    const place = line === undefined ? {} : { place: `${scriptName}:${line}` }
    context.count({ in: 1 })
    context.fail({ ...failure, message, ...place })
    const { code, hint, stack, record } = failure
    await this.#answer(
      context,
      JSON.stringify({
        error: { code, message, line, hint, stack, ...(record === undefined ? {} : { errors: record }) },
      }),
    )
  }

  async #answer(context: TaskContext, text: string): Promise<void> {
    const { reply, environment, id } = this.#parts
    if (!reply) return
    const key = `${environment.namespace}:{gm0}:reply:${id}`
    const commands: Command[] = [
      ['RPUSH', key, text],
      ['PEXPIRE', key, replyMs],
    ]
    await context.effect(0, commands)
  }
}

/** What the script threw; errors of Gearmill keep their code, and those of an execution the records that failed. */
function failureOfScript(thrown: unknown): Failure {
  const failure = failureOf(thrown, 'EXECUTION_RECORD')
  if (!(thrown instanceof GearmillError)) {
    const name = thrown instanceof Error && thrown.message !== '' ? `${thrown.name}: ` : ''
    return { ...failure, code: 'EXECUTION_SCRIPT', message: `${name}${failure.message}` }
  }
  if (!(thrown instanceof ExecutionError) || thrown.errors.length === 0) return failure
  return {
    ...failure,
    record: thrown.errors.slice(0, mostErrors).map(({ code, message, place }) => ({ code, message, place })),
  }
}

function stackOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? '') : ''
}

/** The first line of the script that a stack or message names. */
function lineIn(text: string): number | undefined {
  const line = new RegExp(`\\b${scriptName}:(\\d+)`).exec(text)?.[1]
  return line === undefined ? undefined : Number(line)
}
