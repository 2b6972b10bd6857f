// The session of docs/kernels.md does what it says, typed into a shell with nothing but redis-cli.
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { connect } from '../../src/mill.ts'
import { startServer } from '../../src/server/standalone.ts'

const run = promisify(execFile)

/** Stands in for redis-cli where there is none: prints the reply as that does to a pipe. */
const standIn = `#!${process.execPath}
const { connect } = require('node:net')
const args = process.argv.slice(2)
const socket = connect(Number(process.env.PORT), '127.0.0.1')
socket.write('*' + args.length + '\\r\\n' + args.map((a) => '$' + Buffer.byteLength(a) + '\\r\\n' + a + '\\r\\n').join(''))
let text = ''
socket.on('data', (data) => {
  text += data
  const lines = text.split('\\r\\n').slice(0, -1)
  const bulks = lines.filter((line) => !/^[*$]/.test(line)).map((line) => line.replace(/^[+:]/, ''))
  const wanted = lines[0]?.startsWith('*') ? Number(lines[0].slice(1)) : 1
  if (bulks.length < wanted) return
  console.log(bulks.join('\\n'))
  socket.destroy()
})
`

test('a shell with redis-cli runs the example of Pyrecks', async () => {
  const page = await readFile(new URL('../../docs/kernels.md', import.meta.url), 'utf8')
  const [, session = '', said = ''] = /```sh\n(redis-cli SET[\s\S]*?)```[\s\S]*?```text\n([\s\S]*?)```/.exec(page) ?? []
  expect(session.split('\n').length).toBeGreaterThan(5)
  await using server = await startServer()
  await using mill = await connect({ url: server.url, executors: 1 })
  const folder = await mkdtemp(join(tmpdir(), 'gearmill-redis-cli-'))
  try {
    const cli = join(folder, 'redis-cli')
    await writeFile(cli, standIn)
    await chmod(cli, 0o755)
    const there = await run('sh', ['-c', 'command -v redis-cli'])
      .then(({ stdout }) => stdout.trim())
      .catch(() => '')
    if (there !== '') await writeFile(cli, `#!/bin/sh\nexec ${there} -p "$PORT" "$@"\n`)
    const { hostname, port } = new URL(server.url)
    expect(['127.0.0.1', 'localhost']).toContain(hostname)
    const path = `${folder}${delimiter}${process.env.PATH ?? ''}`
    const { stdout } = await run('sh', ['-c', session], { env: { ...process.env, PATH: path, PORT: port } })
    expect(stdout).toBe(said)
    expect((await mill.kernels.list()).map(({ name }) => name)).toEqual(['func0', 'func1', 'func2'])
  } finally {
    await rm(folder, { recursive: true })
  }
})
