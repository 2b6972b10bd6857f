// The engine as one script has it: what it submits goes to the workers of the script's own group, under ids that follow from the
// script's, and can be ended with it.
import type { BlockWriter } from '../../blocks/store.ts'
import { EngineClient } from '../../engine/client.ts'
import { GroupEvents } from '../../engine/events.ts'
import type { ExecutionEngine, ExecutionHandle, SubmitOptions } from '../../engine/execution.ts'
import { lanesOf } from '../../engine/lanes.ts'
import { openBlocks } from '../../engine/open-blocks.ts'
import type { Environment, Submission, Submitter } from '../../engine/runner.ts'
import type { Deployment } from '../../redis/deployment.ts'

/** Of tasks that a script gives no limits. */
const jobs = { maxAttempts: 3, timeoutMs: 300_000 }

const clients = new WeakMap<Submitter, Promise<EngineClient>>()

/** The engine's client of this executor, opened at its first use. */
export function engineClient({ deployment, namespace }: Environment, submitter: Submitter): Promise<EngineClient> {
  let client = clients.get(submitter)
  if (client === undefined) clients.set(submitter, (client = open(deployment, namespace, submitter)))
  return client
}

async function open(deployment: Deployment, namespace: string, submitter: Submitter): Promise<EngineClient> {
  const { group, leaseMs, executors, secret } = submitter
  const events = new GroupEvents(deployment)
  const lanes = lanesOf(deployment, namespace, group)
  await Promise.all(lanes.map((lane) => events.follow(lane)))
  const blocks = openBlocks(submitter.blocks, deployment, namespace)
  const local = isLocal(submitter) ? { executors, leaseMs, guest: true as const } : undefined
  const known = new Map<object, string>()
  const client = new EngineClient({ deployment, namespace, group, lanes, blocks, events, known, local, jobs, secret })
  submitter.onClose(async () => {
    await client.close()
    await events.close()
    await blocks.close()
  })
  return client
}

/** Whether the group is that of one client, which keeps alive what it submits. */
export function isLocal({ group }: Submitter): boolean {
  return group.startsWith('local-')
}

export class ScriptEngine implements ExecutionEngine {
  readonly known: Map<object, string>
  readonly secret: string | undefined
  readonly #client: EngineClient
  readonly #script: string
  readonly #running = new Set<ExecutionHandle>()
  #count = 0

  constructor(client: EngineClient, script: string, known: Map<object, string>) {
    this.#client = client
    this.#script = script
    this.known = known
    this.secret = client.secret
  }

  get deployment(): Deployment {
    return this.#client.deployment
  }

  get namespace(): string {
    return this.#client.namespace
  }

  get endsWithClient(): boolean {
    return this.#client.endsWithClient
  }

  newId(): string {
    return `${this.#script}.${++this.#count}`
  }

  upload(execution: string, index: number): BlockWriter {
    return this.#client.upload(execution, index)
  }

  async submit(submission: Submission, options: SubmitOptions = {}): Promise<ExecutionHandle> {
    const handle = await this.#client.submit(submission, { ...options, id: options.id ?? this.newId() })
    this.#running.add(handle)
    const ended = (): boolean => this.#running.delete(handle)
    handle.ended().then(ended, ended)
    return handle
  }

  /** Ends what runs. */
  async abort(): Promise<void> {
    await Promise.allSettled([...this.#running].map((handle) => handle.abort()))
  }
}
