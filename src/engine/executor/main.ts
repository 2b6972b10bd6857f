// The executor: a child process that runs one task at a time and commits it.
//
// Life of a task here: facts of its execution (once) -> run by the program's runner, which writes blocks, asks for effects
// and reports failed records -> blocks sealed -> effects: few go with the commit, many are frozen and applied first ->
// commit. Whatever happens, the supervisor hears how it ended; when this process dies, it sees that.
import { randomBytes } from 'node:crypto'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { openBlocks } from '../open-blocks.ts'
import { BlockMissingError, type BlockStore } from '../../blocks/store.ts'
import { GearmillError } from '../../errors.ts'
import { connectDeployment } from '../../redis/connect.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { EffectCatalogue } from '../effects.ts'
import { failureOf } from '../failure.ts'
import { attemptToken, laneKeys, outboxKey, type LaneKeys } from '../keys.ts'
import type { ExecutorSetup, Fault, FromExecutor, TaskMessage, TaskOutcome, ToExecutor } from '../protocol.ts'
import type { Environment, TaskRunner } from '../runner.ts'
import { Drain, removeMarkers, type DrainedOutbox } from './drain.ts'
import { Outbox, type OutboxPlace, type TaskCounts } from './outbox.ts'
import { PositionWriter } from './position.ts'
import { Programs, runIdOf, type ExecutionFacts } from './programs.ts'
import { serveParent, tell } from './serve-parent.ts'
import { LoadedRealms } from './realms.ts'
import { lingerMs, StrayErrors } from './stray-errors.ts'
import { RunningTask } from './task.ts'
import { takeTally } from './tally.ts'

/** How often an execution may be sent back to make lost blocks again. */
const mostEpochs = 8
const hourMs = 60 * 60 * 1000
/** What tasks of remote work leave until they are committed. */
const remoteTtlMs = 24 * hourMs
/** Of markers: see drain.ts. */
const markerTtlMs = { local: hourMs, remote: 24 * hourMs }
/** Temporary keys of sinks: their writers renew them. */
const temporaryTtlMs = hourMs

const settled: TaskOutcome = { kind: 'settled' }
/** What a task had built in the server may have been forgotten in part: it is built again. */
const rewound: TaskOutcome = {
  kind: 'later',
  failure: { code: 'CONNECT_LOST', message: 'the server restarted while the task ran' },
}

/** One attempt of a task. */
interface Attempt {
  readonly message: TaskMessage
  readonly lane: LaneKeys
  /** Key of the execution's hash. */
  readonly x: string
  /** `<stage>.<task>` */
  readonly name: string
  /** What its blocks and its outbox are called after: no other attempt has it. */
  readonly token: string
  readonly facts: ExecutionFacts
  /** Run id of the lane's server when the attempt began. */
  readonly run: string
  readonly signal: AbortSignal
}

/** What the module that makes known things is told. */
interface Place extends Pick<ExecutorSetup, 'namespace' | 'group' | 'stores' | 'matrixBlockSize'> {
  onClose(step: () => Promise<void>): void
}

class Executor {
  readonly #setup: ExecutorSetup
  readonly #deployment: Deployment
  readonly #blocks: BlockStore
  readonly #effects: EffectCatalogue
  readonly #programs: Programs
  readonly #realms: LoadedRealms
  readonly #closing: (() => Promise<void>)[] = []
  readonly #position = new PositionWriter()
  readonly #stray = new StrayErrors(this.#position, () => this.#current?.entry)
  readonly #lanes = new Map<string, LaneKeys>()
  #current: { entry: string; abort: AbortController } | undefined
  #fault: Fault | undefined

  constructor(setup: ExecutorSetup, deployment: Deployment) {
    this.#setup = setup
    this.#deployment = deployment
    this.#fault = setup.fault
    this.#blocks = openBlocks(setup.blocks, deployment, setup.namespace)
    this.#effects = new EffectCatalogue(deployment)
    this.#realms = new LoadedRealms(deployment, setup.namespace, setup.worker)
    this.#programs = new Programs({
      deployment,
      modules: setup.modules,
      environment: environmentOf(setup, deployment, (step) => this.#closing.push(step)),
      base: setup.base,
      secret: setup.secret,
      realms: this.#realms,
      known: () => this.#makeKnown(),
    })
    this.#stray.listen()
  }

  async #makeKnown(): Promise<ReadonlyMap<string, unknown>> {
    const { known } = this.#setup.modules
    if (known === undefined) return new Map()
    const module = (await import(known)) as {
      default: (deployment: Deployment, place: Place) => ReadonlyMap<string, unknown>
    }
    const { namespace, group, stores, matrixBlockSize } = this.#setup
    const onClose = (step: () => Promise<void>): unknown => this.#closing.push(step)
    return module.default(this.#deployment, { namespace, group, stores, matrixBlockSize, onClose })
  }

  #lane(tag: string): LaneKeys {
    let lane = this.#lanes.get(tag)
    if (!lane) {
      lane = laneKeys(this.#setup.namespace, tag, this.#setup.group)
      this.#lanes.set(tag, lane)
    }
    return lane
  }

  async run(message: TaskMessage): Promise<void> {
    const abort = new AbortController()
    this.#current = { entry: message.entry, abort }
    this.#position.write(0, 0)
    let outcome: TaskOutcome
    try {
      outcome = await this.#run(message, abort.signal)
    } catch (error) {
      const failing = abort.signal.aborted ? this.#drop(message) : this.#failed(message, error)
      outcome = await failing.catch(outcomeOf)
    }
    if (abort.signal.aborted) await this.#programs.forget(message.execution).catch(() => undefined)
    this.#current = undefined
    send({ type: 'ended', entry: message.entry, outcome })
  }

  async #run(message: TaskMessage, signal: AbortSignal): Promise<TaskOutcome> {
    this.#faultAt('before-read')
    const lane = this.#lane(message.lane)
    const found = await this.#programs.facts(lane, message.execution)
    if (!found || found.epoch !== message.epoch) return this.#drop(message)
    const { facts, run, restarted } = found
    // A server that restarted may have gone back in time: what it forgot may run still, under the same number.
    const nonce = restarted ? randomBytes(4).toString('hex') : ''
    const attempt: Attempt = {
      message,
      lane,
      x: lane.executions + message.execution,
      name: `${message.stage}.${message.task}`,
      token: attemptToken(message.epoch, message.attempt, nonce),
      facts,
      run,
      signal,
    }
    // A script runs once: its limit is not spent on what comes before its first line.
    if (facts.kind !== 'script') this.#sendLimits(attempt)
    this.#faultAt('after-read')
    // What an earlier attempt froze counts, and user code does not run again for it.
    if (message.attempt > 1 || message.epoch > 0) {
      const { x, name } = attempt
      const frozen = textOf(await this.#deployment.command(x, ['HGET', x, `o.${name}`]))
      if (frozen !== '') return this.#finishFrozen(attempt, frozen)
    }
    return this.#runProgram(attempt)
  }

  async #runProgram(attempt: Attempt): Promise<TaskOutcome> {
    const { message, lane, signal, x } = attempt
    const outbox = new Outbox(this.#deployment, this.#effects, this.#placeOf(attempt))
    const task = this.#taskOf(attempt, outbox)
    // What an attempt before has counted, or what it left running.
    takeTally()
    let runner: TaskRunner
    try {
      runner = await this.#programs.runner(lane, message.execution)
      this.#sendLimits(attempt)
      await runner.run(task)
      // What the functions left running gets a chance to fail before the task counts.
      await (message.traced ? setTimeout(lingerMs) : setImmediate())
      await task.seal()
    } catch (error) {
      await task.discard()
      if (error instanceof BlockMissingError) return this.#reportLost(message, task, error)
      throw error
    }
    if (signal.aborted) return this.#drop(message)
    for (const [key, run] of task.temporaries) if ((await this.#runOf(key)) !== run) return rewound
    const run = task.temporaries.size > 0 ? attempt.run : ''
    const counts = task.counts()
    if (outbox.inline) return this.#commit(attempt, attempt.token, counts, outbox.inline, { run })

    await outbox.seal(counts)
    const { name, token, facts } = attempt
    const far = facts.leaseMs > 0 && outbox.far.length > 0 ? outbox.far.join(' ') : ''
    const ttlMs = facts.leaseMs || remoteTtlMs
    const frozen = outbox.refused
      ? ''
      : await this.#deployment.call(
          'freeze',
          [x, lane.tasks, outboxKey(x, name, token)],
          [message.entry, message.stage, message.task, message.epoch, token, ttlMs, far, outbox.fields, run],
        )
    if (frozen === '') return this.#drop(message)
    if (frozen === '?') return rewound
    if (frozen === '-') return this.#commit(attempt, token, counts, [])
    this.#faultAt('frozen')
    return this.#finishFrozen(attempt, textOf(frozen))
  }

  #sendLimits({ message, facts }: Attempt): void {
    const { timeoutMs, memoryMb, maxAttempts } = facts
    send({ type: 'limits', entry: message.entry, timeoutMs, memoryMb, maxAttempts })
  }

  #taskOf({ message, lane, x, token, facts, signal }: Attempt, outbox: Outbox): RunningTask {
    return new RunningTask({
      message,
      token,
      worker: this.#setup.worker,
      signal,
      memoryMb: Math.min(facts.memoryMb || Infinity, this.#setup.memoryMb),
      blocks: this.#blocks,
      outbox,
      position: this.#position,
      // A script runs once: what it throws astray has to be found at its first attempt.
      trace: message.traced || facts.kind === 'script' ? this.#stray.tracer(message.entry) : undefined,
      failed: async () => Number(textOf(await this.#deployment.command(x, ['HGET', x, 'errors']))),
      temporary: async (key) => {
        const [run] = await Promise.all([this.#runOf(key), this.#deployment.call('note', [x], [key, facts.leaseMs])])
        return { run, ttlMs: facts.leaseMs || temporaryTtlMs }
      },
      agree: async (name, value) => {
        const field = `a.${message.epoch}.${message.stage}.${name}`
        return textOf(await this.#deployment.call('agree', [x], [field, value]))
      },
      tasksOf: (stage) => facts.tasks[stage] ?? 0,
      partitionsOf: (stage) => facts.partitions[stage] ?? 0,
      winner: (stage, task) => this.#programs.winner(lane, message.execution, message.epoch, stage, task),
    })
  }

  /** The run id of the server that holds a key. */
  async #runOf(key: string): Promise<string> {
    return runIdOf(textOf(await this.#deployment.command(key, ['INFO', 'server'])))
  }

  #placeOf({ message, lane, x, name, token, facts }: Attempt): OutboxPlace {
    const local = facts.leaseMs > 0
    return {
      namespace: this.#setup.namespace,
      execution: message.execution,
      x,
      tasks: lane.tasks,
      entry: message.entry,
      name,
      token,
      ttlMs: local ? facts.leaseMs : remoteTtlMs,
      markerTtlMs: local ? markerTtlMs.local : markerTtlMs.remote,
      laneSlot: this.#deployment.topology.cluster ? this.#deployment.slotOf(x) : 0,
    }
  }

  /** Applies the outbox that counts, of this attempt or another, and commits for it. */
  async #finishFrozen(attempt: Attempt, token: string): Promise<TaskOutcome> {
    const place = this.#placeOf(attempt)
    const drained = await new Drain(this.#deployment, place, token, () => this.#faultAt('mid-apply')).run()
    if (!drained) return this.#drop(attempt.message)
    return this.#commit(attempt, token, drained.counts, [], { drained })
  }

  async #commit(
    attempt: Attempt,
    token: string,
    counts: TaskCounts,
    effects: readonly Argument[],
    { drained, run = '' }: { readonly drained?: DrainedOutbox; readonly run?: string } = {},
  ): Promise<TaskOutcome> {
    this.#faultAt('before-commit')
    const { message, lane, x, name, facts } = attempt
    const reply = await this.#deployment.call(
      'commit',
      [x, lane.tasks, lane.events, lane.counters],
      [
        ...[message.entry, message.stage, message.task, message.epoch, token],
        ...[counts.in, counts.out, counts.bytes, counts.errors],
        ...[drained?.written ?? 0, drained?.failed ?? 0, `${name}.`, run, counts.sums.length],
        ...counts.sums.flat(),
        ...effects,
      ],
    )
    const status = numberOf(itemsOf(reply)[0])
    if (status === -3) return rewound
    this.#faultAt('after-commit')
    if (drained && facts.leaseMs > 0 && drained.far.length > 0 && status === 1) {
      await removeMarkers(this.#deployment, this.#placeOf(attempt), drained.far)
    }
    return settled
  }

  /** A read that does not fit together is read anew, by all tasks of its stage, where that can be. */
  async #failed(message: TaskMessage, error: unknown): Promise<TaskOutcome> {
    if (!(error instanceof GearmillError) || error.code !== 'EXECUTION_TOPOLOGY') throw error
    const lane = this.#lane(message.lane)
    const began = await this.#deployment.call(
      'again',
      [lane.executions + message.execution, lane.tasks],
      [message.epoch, message.stage, mostEpochs],
    )
    if (numberOf(began) < 0) throw error
    return this.#drop(message)
  }

  async #reportLost(message: TaskMessage, task: RunningTask, error: BlockMissingError): Promise<TaskOutcome> {
    const failure = failureOf(task.lost?.cause ?? error, 'EXECUTION_CRASHED')
    if (!task.lost) return { kind: 'fatal', failure }
    const lane = this.#lane(message.lane)
    await this.#deployment.call(
      'lost',
      [lane.executions + message.execution, lane.tasks, lane.events],
      [message.epoch, task.lost.stage, mostEpochs, JSON.stringify(failure)],
    )
    return this.#drop(message)
  }

  /** The execution is over or went another way: the entry means nothing any more. */
  async #drop(message: TaskMessage): Promise<TaskOutcome> {
    const lane = this.#lane(message.lane)
    const keys = [lane.tasks, lane.executions + message.execution]
    await this.#deployment.call('drop', keys, [message.entry, message.epoch])
    return settled
  }

  #faultAt(at: Fault['at']): void {
    if (this.#fault?.at !== at) return
    const signal = this.#fault.signal ?? 'SIGKILL'
    this.#fault = undefined
    process.kill(process.pid, signal)
  }

  abort(entry: string): void {
    if (this.#current?.entry === entry) this.#current.abort.abort()
  }

  forget(execution: string): void {
    void this.#programs.forget(execution)
  }

  unload(realm: string): void {
    this.#realms.unload(realm)
  }

  async close(): Promise<void> {
    await this.#programs.close()
    await Promise.allSettled(this.#closing.map((step) => step()))
    await this.#blocks.close()
    await this.#deployment.close()
  }
}

function environmentOf(
  setup: ExecutorSetup,
  deployment: Deployment,
  onClose: (step: () => Promise<void>) => void,
): Environment {
  const { worker, scratch, namespace, spillBytes, stores, matrixBlockSize } = setup
  const { group, blocks, leaseMs, executors, secret, allowScripts, base } = setup
  const submitter = { group, blocks, leaseMs, executors, secret, allowScripts, base, onClose }
  return { worker, scratch, deployment, namespace, spillBytes, stores, matrixBlockSize, submitter }
}

const fatalCodes = /^(CAPTURE_|PLAN_|CONFIG_|MATRIX_|MODEL_|EXECUTION_(NO_WORKER|BLOCK_LOST|LOST|TOPOLOGY))/

/** What another worker may have. */
const unableCodes = new Set(['CAPTURE_PACKAGE', 'EXECUTION_NO_WORKER', 'EXECUTION_SCRIPT_REFUSED', 'MODEL_RUNTIME'])

function outcomeOf(error: unknown): TaskOutcome {
  const failure = failureOf(error, 'EXECUTION_CRASHED')
  if (unableCodes.has(failure.code)) return { kind: 'unable', failure }
  if (fatalCodes.test(failure.code)) return { kind: 'fatal', failure }
  if (error instanceof GearmillError && error.retryable) return { kind: 'later', failure }
  return { kind: 'broken', failure }
}

const send: (message: FromExecutor) => void = tell

serveParent<ToExecutor, Executor>({
  what: 'an executor',
  open: async (setup) => new Executor(setup, await connectDeployment(setup.url, { loaded: true })),
  heard(executor, message) {
    switch (message.type) {
      case 'task':
        void executor.run(message)
        break
      case 'abort':
        executor.abort(message.entry)
        break
      case 'forget':
        executor.forget(message.execution)
        break
      case 'unload':
        executor.unload(message.realm)
        break
    }
  },
})
