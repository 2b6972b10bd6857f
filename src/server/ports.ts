// Free ports on the loopback interface.
import { createServer } from 'node:net'
import { ServerError } from '../errors.ts'

/** `count` different ports that were free a moment ago; whoever binds them must be ready to ask for others. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  try {
    // All are held until all are known, so that they differ.
    return await Promise.all(
      servers.map(
        (server) =>
          new Promise<number>((resolve, reject) => {
            server.once('error', reject)
            server.listen({ port: 0, host: '127.0.0.1' }, () => {
              const address = server.address()
              if (address === null || typeof address === 'string') {
                reject(new ServerError('SERVER_START', 'the system gave no TCP port'))
              } else resolve(address.port)
            })
          }),
      ),
    )
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  }
}

/** Whether a port of the loopback interface can be bound now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve(true)))
  })
}
