// `gearmill worker`: executors as a service. Runs until it is told to stop, then lets its tasks end first.
import { pathToFileURL } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import type { Config } from '../config.ts'
import { faultPoints, type Fault } from '../engine/protocol.ts'
import { defaultLeaseMs, remoteGroup, startWorker, type WorkerOptions } from '../engine/worker.ts'
import { modules } from '../mill/modules.ts'
import { serveKernels } from '../mill/serve-kernels.ts'
import { serveTriggers } from '../mill/serve-triggers.ts'
import { connectDeployment } from '../redis/connect.ts'
import { redactUrl } from '../redis/url.ts'
import {
  configOf,
  counted,
  flagsOf,
  loggerTo,
  wholeNumber,
  withCommonFlags,
  type Cli,
  type CommonFlags,
} from './cli.ts'

interface WorkerFlags extends CommonFlags {
  readonly executors?: number
  readonly group: string
  readonly allowScripts?: boolean
  readonly grace: number
  readonly lease: number
  readonly fault?: Fault
}

/** What tasks that ended late and leases to give back may take after the grace. */
const lastWordsMs = 5000
/** Blocks that nobody reads or keeps any more are gone after this. */
const blockTtlMs = 24 * 3_600_000

export function workerCommand(cli: Cli): Command {
  const command = new Command('worker')
    .summary('run tasks until stopped')
    .description(
      "Serves the executions of a group: those that clients submit with workers: 'remote'. SIGTERM or Ctrl-C lets running tasks end first; a second one does not wait.",
    )
    .option(
      '--executors <n>',
      'processes that run tasks (GEARMILL_EXECUTORS; default: one per core)',
      wholeNumber(1, 1024),
    )
    .option('--group <name>', 'whose executions to serve', remoteGroup)
    .option('--allow-scripts', 'run scripts that any client of the server may submit unsigned')
    .option('--grace <seconds>', 'how long running tasks may take when stopped', wholeNumber(0, 86_400), 30)
    .option(
      '--lease <ms>',
      'how long a task belongs to this worker when it gives no sign of life',
      wholeNumber(500, 86_400_000),
      defaultLeaseMs,
    )
    .option(
      '--fault <at[:signal[:times]]>',
      `fault injection, to test what survives it: kills its first executors at their first task, ${faultPoints.join(', ')}; SIGKILL (default) or SIGSTOP; how many of them (default: 1)`,
      faultOf,
    )
  return withCommonFlags(command).action(async () => {
    const flags = flagsOf<WorkerFlags>(command)
    const { executors, allowScripts } = flags
    const { config } = configOf(cli, flags, { executors, allowScripts })
    await serve(cli, config, flags)
  })
}

async function serve(cli: Cli, config: Config, flags: WorkerFlags): Promise<void> {
  const logger = loggerTo(cli, flags.json === true)
  const { url, namespace, executors, secret, stores } = config
  const { dir } = config.blocks
  const deployment = await connectDeployment(url, { name: 'gearmill-worker', signal: cli.signal })
  try {
    const serving: WorkerOptions = {
      allowScripts: config.allowScripts,
      deployment,
      namespace,
      group: flags.group,
      executors,
      leaseMs: flags.lease,
      fault: flags.fault,
      blocks: dir === undefined ? { kind: 'redis', ttlMs: blockTtlMs } : { kind: 'files', dir },
      modules: modules(),
      secret,
      stores,
      matrixBlockSize: config.matrix.blockSize,
      base: pathToFileURL(`${cli.cwd}/`).href,
      logger,
      console: (level, text) => logger[level === 'log' ? 'info' : level](text),
    }
    const worker = await startWorker(serving)
    const triggers = await serveTriggers(worker.name, serving)
    const kernels = serveKernels(worker.name, serving, config.jobs.keepMs)
    logger.info(`${worker.name} serves '${flags.group}' at ${redactUrl(url)} with ${counted(executors, 'executor')}`)
    await interruption(cli.signal)
    logger.info(`stopping; running tasks have ${flags.grace} s to end`)
    const grace = flags.grace * 1000
    // A server that is away would keep what is to be handed back waiting: it finds out when leases expire.
    const late = setTimeout(() => void deployment.close(), grace + lastWordsMs)
    await Promise.all([worker.drain(grace), triggers.close(grace), kernels.close(grace)])
    clearTimeout(late)
    logger.info('stopped')
  } finally {
    await deployment.close()
  }
}

function interruption(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** Reads `at[:signal[:times]]`. */
function faultOf(value: string): Fault {
  const [at, signal = 'SIGKILL', times = '1', ...rest] = value.split(':')
  const point = faultPoints.find((each) => each === at)
  if (!point) throw new InvalidArgumentError(`Expected one of ${faultPoints.join(', ')}.`)
  if (signal !== 'SIGKILL' && signal !== 'SIGSTOP') throw new InvalidArgumentError('Expected SIGKILL or SIGSTOP.')
  if (!/^[1-9]\d{0,3}$/.test(times) || rest.length > 0) {
    throw new InvalidArgumentError('Expected a whole number of at least 1 as the number of executors.')
  }
  return { at: point, signal, times: Number(times) }
}
