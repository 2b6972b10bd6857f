// `mill.executions`: what ran and what runs, looked up by any client of the same group.
import type { EngineClient } from '../engine/client.ts'
import type { ExecutionState, ExecutionStatus } from '../engine/execution.ts'
import { ExecutionError } from '../errors.ts'
import { RunningExecution } from '../pipeline/execution.ts'
import { checkOneOf, checkOptions } from '../pipeline/options.ts'

const states: readonly ExecutionState[] = ['waiting', 'running', 'done', 'failed', 'aborted']

export class Executions {
  readonly #engine: EngineClient

  constructor(engine: EngineClient) {
    this.#engine = engine
  }

  /** The executions that the server knows, the latest first. Throws `PLAN_OPTION`. */
  async list(filter: { readonly state?: ExecutionState } = {}): Promise<ExecutionStatus[]> {
    checkOptions('executions.list', filter, ['state'])
    if (filter.state !== undefined) checkOneOf('executions.list', 'state', filter.state, states)
    const found: ExecutionStatus[] = []
    for (const id of await this.#engine.list()) {
      // One that expires while the list is read is no error.
      const status = await (await this.#engine.find(id))?.status().catch(() => undefined)
      if (status && (filter.state === undefined || status.state === filter.state)) found.push(status)
    }
    return found.sort((a, b) => b.created - a.created)
  }

  /** Any execution of this mill's group, whoever submitted it. Throws `EXECUTION_LOST` where the server does not know it. */
  async get<T = unknown>(id: string): Promise<RunningExecution<T>> {
    const handle = await this.#engine.find(id)
    if (!handle) {
      throw new ExecutionError('EXECUTION_LOST', `the server does not know execution ${id}`, { execution: id })
    }
    return new RunningExecution<T>(handle)
  }

  /** Forgets an execution and its result; ends it first where it runs. */
  async remove(id: string): Promise<void> {
    await (await this.#engine.find(id))?.remove()
  }
}
