// The executor: a child process that runs one task at a time and commits it.
//
// Life of a task here: facts of its execution (once) -> run by the program's runner, which writes blocks, asks for effects
// and reports failed records -> blocks sealed -> effects: few go with the commit, many are frozen and applied first ->
// commit. Whatever happens, the supervisor hears how it ended; when this process dies, it sees that.
import { setImmediate, setTimeout } from 'node:timers/promises'
import { openBlocks } from '../open-blocks.ts'
import { BlockMissingError, type BlockStore } from '../../blocks/store.ts'
import { GearmillError } from '../../errors.ts'
import { connectDeployment } from '../../redis/connect.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { textOf } from '../../redis/replies.ts'
import { EffectCatalogue } from '../effects.ts'
import { failureOf } from '../failure.ts'
import { attemptToken, laneKeys, type LaneKeys } from '../keys.ts'
import type { ExecutorSetup, Fault, FromExecutor, TaskMessage, TaskOutcome, ToExecutor } from '../protocol.ts'
import type { TaskRunner } from '../runner.ts'
import { redirectConsole } from './console.ts'
import { Outbox, type DrainedOutbox, type TaskCounts } from './outbox.ts'
import { endWithParent } from './parent-watch.ts'
import { PositionWriter } from './position.ts'
import { Programs, type ExecutionFacts } from './programs.ts'
import { lingerMs, StrayErrors } from './stray-errors.ts'
import { RunningTask } from './task.ts'

/** How often an execution may be sent back to make lost blocks again. */
const mostEpochs = 8
/** Markers outlive any stalled applier by far. */
const markerTtlMs = 24 * 60 * 60 * 1000

const settled: TaskOutcome = { kind: 'settled' }

class Executor {
  readonly #setup: ExecutorSetup
  readonly #deployment: Deployment
  readonly #blocks: BlockStore
  readonly #effects: EffectCatalogue
  readonly #programs: Programs
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
    this.#programs = new Programs({
      deployment,
      modules: setup.modules,
      environment: { worker: setup.worker, scratch: setup.scratch, deployment, namespace: setup.namespace },
      base: setup.base,
      secret: setup.secret,
      known: () => this.#makeKnown(),
    })
    this.#stray.listen()
  }

  async #makeKnown(): Promise<ReadonlyMap<string, unknown>> {
    const { known } = this.#setup.modules
    if (known === undefined) return new Map()
    const module = (await import(known)) as { default: (deployment: Deployment) => ReadonlyMap<string, unknown> }
    return module.default(this.#deployment)
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
      outcome = abort.signal.aborted ? await this.#drop(message).catch(outcomeOf) : outcomeOf(error)
    }
    this.#current = undefined
    send({ type: 'ended', entry: message.entry, outcome })
  }

  async #run(message: TaskMessage, signal: AbortSignal): Promise<TaskOutcome> {
    const lane = this.#lane(message.lane)
    const facts = await this.#programs.facts(lane, message.execution)
    if (!facts) return this.#drop(message)
    this.#sendLimits(message, facts)
    const outbox = this.#outboxOf(message, facts)
    this.#faultAt('after-read')

    // What an earlier attempt froze counts, and user code does not run again for it.
    if (message.attempt > 1) {
      const x = lane.executions + message.execution
      const frozen = textOf(await this.#deployment.command(x, ['HGET', x, `o.${nameOf(message)}`]))
      if (frozen !== '') return this.#finishFrozen(message, outbox, frozen)
    }
    const task = this.#taskOf(message, facts, outbox, signal)
    let runner: TaskRunner
    try {
      runner = await this.#programs.runner(lane, message.execution)
      this.#sendLimits(message, facts)
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
    if (outbox.inline) return this.#commit(message, tokenOf(message), task, outbox.inline)

    await outbox.seal(task)
    const frozen = textOf(
      await this.#deployment.call(
        'freeze',
        [
          lane.executions + message.execution,
          lane.tasks,
          Outbox.keyOf(this.#x(message), nameOf(message), tokenOf(message)),
        ],
        [message.entry, message.stage, message.task, message.epoch, tokenOf(message), facts.leaseMs || markerTtlMs],
      ),
    )
    if (frozen === '') return this.#drop(message)
    this.#faultAt('frozen')
    return this.#finishFrozen(message, outbox, frozen)
  }

  #sendLimits({ entry }: TaskMessage, { timeoutMs, memoryMb, maxAttempts }: ExecutionFacts): void {
    send({ type: 'limits', entry, timeoutMs, memoryMb, maxAttempts })
  }

  #taskOf(message: TaskMessage, facts: ExecutionFacts, outbox: Outbox, signal: AbortSignal): RunningTask {
    const lane = this.#lane(message.lane)
    const x = lane.executions + message.execution
    return new RunningTask({
      message,
      token: tokenOf(message),
      worker: this.#setup.worker,
      signal,
      blocks: this.#blocks,
      outbox,
      position: this.#position,
      trace: message.traced && this.#stray.tracer(message.entry),
      failed: async () => Number(textOf(await this.#deployment.command(x, ['HGET', x, 'errors']))),
      tasksOf: (stage) => facts.tasks[stage] ?? 0,
      partitionsOf: (stage) => facts.partitions[stage] ?? 0,
      winner: (stage, task) => this.#programs.winner(lane, message.execution, message.epoch, stage, task),
    })
  }

  #outboxOf(message: TaskMessage, facts: ExecutionFacts): Outbox {
    return new Outbox(this.#deployment, this.#effects, {
      namespace: this.#setup.namespace,
      execution: message.execution,
      x: this.#x(message),
      lane: message.lane,
      name: nameOf(message),
      token: tokenOf(message),
      ttlMs: facts.leaseMs || markerTtlMs,
      markerTtlMs: markerTtlMs,
    })
  }

  #x(message: TaskMessage): string {
    return this.#lane(message.lane).executions + message.execution
  }

  /** Applies the outbox that counts, of this attempt or another, and commits for it. */
  async #finishFrozen(message: TaskMessage, outbox: Outbox, token: string): Promise<TaskOutcome> {
    const drained = await outbox.drain(token, () => this.#faultAt('mid-apply'))
    if (!drained) return this.#drop(message)
    return this.#commit(message, token, drained.counts, [], drained)
  }

  async #commit(
    message: TaskMessage,
    token: string,
    counts: TaskCounts,
    effects: readonly Argument[],
    drained?: DrainedOutbox,
  ): Promise<TaskOutcome> {
    this.#faultAt('before-commit')
    const lane = this.#lane(message.lane)
    const x = this.#x(message)
    const name = nameOf(message)
    const box = drained ? Outbox.keyOf(x, name, token) : ''
    await this.#deployment.call(
      'commit',
      [x, lane.tasks, lane.events],
      [
        ...[message.entry, message.stage, message.task, message.epoch, token],
        ...[counts.in, counts.out, counts.bytes, counts.errors],
        ...[drained?.written ?? 0, drained?.failed ?? 0, box, `${name}.`, ...effects],
      ],
    )
    this.#faultAt('after-commit')
    return settled
  }

  async #reportLost(message: TaskMessage, task: RunningTask, error: BlockMissingError): Promise<TaskOutcome> {
    const failure = failureOf(error, 'EXECUTION_CRASHED')
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
    const keys = [this.#lane(message.lane).tasks, this.#x(message)]
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

  async close(): Promise<void> {
    await this.#programs.close()
    await this.#blocks.close()
    await this.#deployment.close()
  }
}

function nameOf(message: TaskMessage): string {
  return `${message.stage}.${message.task}`
}

function tokenOf(message: TaskMessage): string {
  return attemptToken(message.epoch, message.attempt)
}

const fatalCodes = /^(CAPTURE_|PLAN_|CONFIG_|EXECUTION_(NO_WORKER|BLOCK_LOST))/

function outcomeOf(error: unknown): TaskOutcome {
  const failure = failureOf(error, 'EXECUTION_CRASHED')
  if (failure.code === 'CAPTURE_PACKAGE' || failure.code === 'EXECUTION_NO_WORKER') return { kind: 'unable', failure }
  if (fatalCodes.test(failure.code)) return { kind: 'fatal', failure }
  if (error instanceof GearmillError && error.retryable) return { kind: 'later', failure }
  return { kind: 'broken', failure }
}

function send(message: FromExecutor): void {
  if (process.connected) process.send?.(message)
}

async function start(): Promise<void> {
  endWithParent()
  redirectConsole(send)
  // The supervisor decides when a worker stops; a terminal's Ctrl-C reaches every process of its group.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  // The first message is the set-up; what follows waits for it.
  let executor: Promise<Executor> | undefined
  process.on('message', (message: ToExecutor) => {
    if (message.type === 'setup') {
      executor = connectDeployment(message.url).then((deployment) => new Executor(message, deployment))
      executor.then(() => send({ type: 'ready' }), fail)
      return
    }
    void executor?.then((ready) => {
      switch (message.type) {
        case 'task':
          void ready.run(message)
          break
        case 'abort':
          ready.abort(message.entry)
          break
        case 'forget':
          ready.forget(message.execution)
          break
        case 'close':
          void ready.close().finally(() => process.exit(0))
          break
      }
    }, fail)
  })
  process.on('disconnect', () => process.exit(0))
}

function fail(error: unknown): void {
  send({ type: 'log', level: 'error', text: `an executor could not start: ${String(error)}` })
  process.exit(1)
}

void start()
