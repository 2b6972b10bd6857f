// `mill.exec(script)`: to the mill's own executors, or to workers that run scripts.
import { signature as signatureOf } from '../../code/sign.ts'
import type { EngineClient } from '../../engine/client.ts'
import type { Failure } from '../../engine/runner.ts'
import { recordErrorOf } from '../../engine/failure.ts'
import { ExecutionError, PlanError, type RecordError } from '../../errors.ts'
import { RunningExecution } from '../../pipeline/execution.ts'
import { checkInteger, checkOptions, checkString, refuse } from '../../pipeline/options.ts'
import { textOf } from '../../redis/replies.ts'
import type { Calls } from '../../triggers/command.ts'
import type { ScriptProgram } from './runner.ts'

export interface ScriptOptions {
  /** true: gives the execution at once, whose result is the script's. Default false. */
  readonly unblocking?: boolean
  /** The same id is the same execution. Default: a new one. */
  readonly id?: string
  /** Time limit of the script, in milliseconds; 0: none. Default 300,000. */
  readonly timeoutMs?: number
}

const defaultTimeoutMs = 300_000

export async function execScript(
  engine: EngineClient,
  calls: Calls,
  script: string,
  options: ScriptOptions,
): Promise<unknown> {
  checkString('exec', script, 'the text of a script')
  if (script.trim() === '') refuse('exec', 'the text of a script', script)
  checkOptions('exec', options, ['unblocking', 'id', 'timeoutMs'])
  const { unblocking = false, timeoutMs = defaultTimeoutMs } = options
  checkInteger('exec', timeoutMs, 0, 'timeoutMs to be a whole number of at least 0')
  if (typeof unblocking !== 'boolean') refuse('exec', 'unblocking to be true or false', unblocking)
  const signature =
    engine.secret === undefined ? '' : signatureOf(Buffer.from(script), engine.secret, 'script').toString('hex')
  if (!engine.endsWithClient) return execRemote(engine, calls, script, signature, { ...options, timeoutMs })
  const id = options.id ?? engine.newId(true)
  const program: ScriptProgram = { script, signature, reply: false }
  const handle = await engine.submit(
    {
      kind: 'script',
      program: new TextEncoder().encode(JSON.stringify(program)),
      stages: [{ tasks: 1, partitions: 1, inputs: [] }],
    },
    { id, timeoutMs, maxAttempts: 1 },
  )
  const running = new RunningExecution<unknown>(handle)
  return unblocking ? running : valueOf(running)
}

/** Workers that run scripts may be those of another client: the answer comes as it does to any client. */
async function execRemote(
  engine: EngineClient,
  calls: Calls,
  script: string,
  signature: string,
  { unblocking = false, id, timeoutMs = defaultTimeoutMs }: ScriptOptions,
): Promise<unknown> {
  const { deployment, namespace } = engine
  const lane = `${namespace}:{gm0}`
  const args = ['TIMEOUT', timeoutMs, ...(signature === '' ? [] : ['SIGNATURE', signature])]
  const named = id === undefined ? [] : ['ID', id]
  const reply = await deployment
    .call('exec', [lane], [script, ...args, ...named, ...(unblocking ? ['UNBLOCKING'] : [])])
    .catch(refused)
  const execution = textOf(reply)
  const handle = await engine.find(execution)
  if (unblocking && handle) return new RunningExecution<unknown>(handle)
  for (;;) {
    const text = await calls.answer(`${lane}:reply:${execution}`)
    if (text !== undefined) return answerOf(execution, text)
    // Nobody answers any more where the server forgot it, or where somebody else had the answer.
    const found = await engine.find(execution)
    if (!found) throw new ExecutionError('EXECUTION_LOST', `the server forgot script ${execution}`, { execution })
    if ((await found.status()).ended !== undefined) return valueOf(new RunningExecution<unknown>(found))
  }
}

async function valueOf(running: RunningExecution<unknown>): Promise<unknown> {
  const { results, errors } = await running.outcome()
  const [error] = errors
  if (error !== undefined) throw failed(running.id, error)
  return results[0]
}

function refused(error: unknown): never {
  const [, why] = /PLAN_OPTION (.*)$/s.exec(String(error)) ?? []
  if (why !== undefined) throw new PlanError('PLAN_OPTION', `exec: ${why}`, { cause: error })
  throw error
}

interface Told extends Failure {
  readonly line?: number
}

function answerOf(execution: string, text: string): unknown {
  const { ok, error } = JSON.parse(text) as { readonly ok?: unknown; readonly error?: Told }
  if (error === undefined) return ok
  const { line } = error
  throw failed(execution, recordErrorOf({ ...error, ...(line === undefined ? {} : { place: `script:${line}` }) }))
}

function failed(execution: string, error: RecordError): ExecutionError {
  return new ExecutionError(error.code, error.message, { execution, errors: [error] }, { cause: error })
}
