// A cache that a cluster of HTTP servers shares: one copy in memory for all of them, and an update of one server is
// seen by the others at their next request.
//
//   npx tsx examples/buffers-cache.ts [PORT] [SERVERS] [FILE]
//
//   curl -X PUT --data 'the text' localhost:8080/pages/home
//   curl localhost:8080/pages/home
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { datetime, openLayered, str, struct, u32 } from 'gearmill/buffers'

const Page = struct('Page', { body: str, changed: datetime, version: u32 })

const [port = '8080', servers = String(availableParallelism()), file = join(tmpdir(), 'pages.gmb')] =
  process.argv.slice(2)

if (cluster.isPrimary) await runCluster()
else await runServer()

async function runCluster(): Promise<void> {
  const workers = Array.from({ length: Number(servers) }, () => cluster.fork())
  const addresses = await Promise.all(workers.map((worker) => once(worker, 'listening')))
  const [address] = addresses[0] as [{ readonly port: number }]
  console.log(`${workers.length} servers at http://127.0.0.1:${address.port}/pages/NAME`)
  process.once('SIGTERM', () => {
    for (const worker of workers) worker.process.kill('SIGTERM')
    process.exit()
  })
}

async function runServer(): Promise<void> {
  const pages = openLayered(file, str, Page)
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = /^\/pages\/(\w+)$/.exec(request.url ?? '')?.[1]
    response.setHeader('server', `process ${process.pid}`)
    if (name === undefined) response.writeHead(404).end('pages are at /pages/NAME')
    else if (request.method === 'PUT') {
      const version = (pages.at(name)?.version ?? 0) + 1
      pages.set(name, { body: await text(request), changed: new Date(), version })
      // Many updates may share one rebuild; here each is visible everywhere before it is confirmed.
      await pages.rebuild()
      response.writeHead(204).end()
    } else if (request.method === 'DELETE') {
      const was = pages.delete(name)
      await pages.rebuild()
      response.writeHead(was ? 204 : 404).end()
    } else {
      // A view: only what is sent is read from the map.
      const page = pages.at(name)
      if (!page) response.writeHead(404).end()
      else response.setHeader('last-modified', page.changed.toUTCString()).end(page.body)
    }
  }

  server.listen(Number(port), '127.0.0.1')
  await once(process, 'SIGTERM')
  server.close()
  server.closeAllConnections()
  pages.close()
  process.exit()
}
