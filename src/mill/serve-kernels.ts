// Starts a worker's part in kernels, for a mill's own workers and for `gearmill worker`.
import { executorMemoryMb, type WorkerOptions } from '../engine/worker.ts'
import { KernelService } from '../kernels/service.ts'

type Served = Pick<WorkerOptions, 'deployment' | 'namespace' | 'executors' | 'leaseMs' | 'executorMemoryMb'> &
  Pick<WorkerOptions, 'secret' | 'base' | 'logger' | 'console'>

/** Runs chains of the namespace beside the tasks of `worker`, in as many processes as it has executors, at most. */
export function serveKernels(worker: string, options: Served, keepMs: number): KernelService {
  const { deployment, namespace, executors, leaseMs, base, secret, logger, console } = options
  const service = new KernelService({
    deployment,
    namespace,
    worker,
    hosts: executors,
    leaseMs,
    memoryMb: executorMemoryMb(options),
    keepMs,
    setup: { base, ...(secret === undefined ? {} : { secret }) },
    logger,
    console,
  })
  service.start()
  return service
}
