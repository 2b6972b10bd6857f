// What a script sees: the readers by their names, and a mill of its own.
import { onWorker } from '../../code/resource.ts'
import type { EngineClient } from '../../engine/client.ts'
import type { Environment } from '../../engine/runner.ts'
import { executorMatrices } from '../../matrix/executor-matrices.ts'
import { executorModels } from '../../models/executor-models.ts'
import { Tensors } from '../../models/tensors.ts'
import { defineOperation, defineReader, defineSink } from '../../pipeline/extend.ts'
import { userRedis } from '../../redis/user.ts'
import { Calls } from '../../triggers/command.ts'
import { Triggers } from '../../triggers/registry.ts'
import { ClientCounter, checkCounter, counterPrefix, type Counter } from '../counter.ts'
import { Executions } from '../executions.ts'
import { Realms, type Realm } from '../realm.ts'
import { ScriptEngine } from './engine.ts'

const readers = ['keys', 'stream', 'keyEvents', 'schedule', 'files', 'from', 'generate', 'shards', 'read'] as const
const others = ['submit', 'submitWith', 'command'] as const

export interface ScriptScope {
  readonly names: ReadonlyMap<string, unknown>
  /** What the script started ends. */
  abort(): Promise<void>
  /** What it registered goes on. */
  close(): Promise<void>
}

export interface ScriptScopeOptions {
  readonly id: string
  readonly client: EngineClient
  readonly environment: Environment
  /** Time limit of a batch of triggers, in milliseconds. */
  readonly timeoutMs: number
  /** How long its realm is kept without a sign of life, in milliseconds. */
  readonly leaseMs: number
}

/** The realm of a script: its pipelines and triggers are of it. */
export const realmOfScript = (id: string): string => `script.${id}`

export function scriptScope({ id, client, environment, timeoutMs, leaseMs }: ScriptScopeOptions): ScriptScope {
  const { deployment } = environment
  const { secret } = client
  const known = new Map<object, string>()
  const engine = new ScriptEngine(client, id, known)
  const triggers = new Triggers({ engine, secret, timeoutMs })
  const calls = new Calls(triggers.client)
  const models = executorModels(deployment, environment.namespace)
  const tensors = new Tensors(deployment, environment.namespace)
  const matrix = executorMatrices(deployment, {
    namespace: environment.namespace,
    stores: environment.stores,
    matrixBlockSize: environment.matrixBlockSize,
    onClose: (step) => environment.submitter?.onClose(step),
  })
  known.set(models, 'mill.models')
  known.set(tensors, 'mill.tensors')
  known.set(matrix, 'mill.matrix')
  const realms = new Realms({ engine, triggers, calls, secret, models, owner: `c.${id}`, ttlMs: leaseMs })
  const realm = realms.open(realmOfScript(id), {})
  const redis = userRedis(deployment)
  const made = Object.fromEntries([...readers, ...others].map((name) => [name, methodOf(realm, name)]))
  const counters = new Map<string, Counter>()
  const counter = (name: string): Counter => {
    checkCounter(name)
    let found = counters.get(name)
    if (found === undefined) {
      counters.set(name, (found = new ClientCounter(name, client)))
      known.set(found, counterPrefix + name)
    }
    return found
  }
  const executions = new Executions(client)
  const mill = Object.freeze({ ...made, redis, triggers, executions, models, tensors, matrix, counter })
  known.set(mill, 'mill')
  known.set(redis, 'mill.redis')
  const names = { mill, ...made, redis, counter, onWorker, defineReader, defineOperation, defineSink }
  return {
    names: new Map(Object.entries(names)),
    abort: () => engine.abort(),
    async close() {
      await calls.close()
      await realms.close()
    },
  }
}

function methodOf(realm: Realm, name: (typeof readers | typeof others)[number]): unknown {
  const method = realm[name] as (...args: unknown[]) => unknown
  return (...args: unknown[]) => method.apply(realm, args)
}
