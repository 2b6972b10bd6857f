// Starts a worker's part in triggers, for a mill's own workers and for `gearmill worker`.
import { executorMemoryMb, type WorkerOptions } from '../engine/worker.ts'
import { TriggerService } from '../triggers/service.ts'

type Served = Pick<WorkerOptions, 'deployment' | 'namespace' | 'executors' | 'leaseMs' | 'executorMemoryMb'> &
  Pick<WorkerOptions, 'modules' | 'secret' | 'stores' | 'matrixBlockSize' | 'base' | 'logger' | 'console'>

/** Runs triggers of the namespace beside the tasks of `worker`, in as many processes as it has executors, at most. */
export async function serveTriggers(worker: string, options: Served): Promise<TriggerService> {
  const { deployment, namespace, executors, leaseMs, modules, base, secret, stores, matrixBlockSize } = options
  const service = new TriggerService({
    deployment,
    namespace,
    worker,
    hosts: executors,
    leaseMs,
    memoryMb: executorMemoryMb(options),
    setup: {
      base,
      ...(modules.known === undefined ? {} : { known: modules.known }),
      ...(secret === undefined ? {} : { secret }),
      ...(stores === undefined ? {} : { stores }),
      ...(matrixBlockSize === undefined ? {} : { matrixBlockSize }),
    },
    logger: options.logger,
    console: options.console,
  })
  await service.start()
  return service
}
