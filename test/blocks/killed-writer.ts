// A process that writes most of a block and waits to be killed: `file DIR PARTBYTES` or `redis URL NAMESPACE PARTBYTES`.
import { FileBlocks } from '../../src/blocks/file-blocks.ts'
import { RedisBlocks } from '../../src/blocks/redis-blocks.ts'
import { connectDeployment } from '../../src/redis/connect.ts'

const [kind, where = '', ...rest] = process.argv.slice(2)
const partBytes = Number(rest.at(-1))
const store =
  kind === 'file'
    ? new FileBlocks(where)
    : new RedisBlocks(await connectDeployment(where), rest[0] ?? '', { ttlMs: 60_000, partBytes })
await store.writer('killed', 'block').append(new Uint8Array(5 * partBytes))
process.stdout.write('written\n')
setInterval(() => undefined, 1000)
