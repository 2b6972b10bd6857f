// Capturing in processes of other kinds: worker threads, under a debugger, without the right to inspect.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const dist = fileURLToPath(new URL('../../dist/', import.meta.url))

const capture = `
  import { captureCode } from 'file://${dist}code/capture.js'
  import { loadCode } from 'file://${dist}code/load.js'
  let n = 1
  const roots = [() => ++n, () => n].map((value) => ({ value, label: 'f' }))
  const [up, get] = await loadCode(captureCode(roots).bytes, { known: new Map(), base: 'file://${dist}' })
  up()
`
const inNode = async (options: readonly string[], code: string): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, [...options, '--input-type=module', '-e', code])

test('in code from the command line, without a word on stderr', async () => {
  const { stdout, stderr } = await inNode([], `${capture} await import('node:os'); console.log(get())`)
  expect([stdout, stderr]).toEqual(['2\n', ''])
})

test('under a debugger', async () => {
  const { stdout } = await inNode(['--inspect=127.0.0.1:0'], `${capture} console.log(get())`)
  expect(stdout).toBe('2\n')
})

test('in a worker thread', async () => {
  const thread = `${capture} const { parentPort } = await import('node:worker_threads'); parentPort.postMessage(get())`
  const url = `data:text/javascript,${encodeURIComponent(thread)}`
  const { stdout } = await inNode(
    [],
    `import { Worker } from 'node:worker_threads'; new Worker(new URL(${JSON.stringify(url)})).on('message', console.log)`,
  )
  expect(stdout).toBe('2\n')
})

test('under the permission model', async () => {
  const flag = Number(process.versions.node.split('.')[0]) >= 24 ? '--permission' : '--experimental-permission'
  const { stdout } = await inNode(
    [flag, '--allow-fs-read=*'],
    `import { captureCode } from 'file://${dist}code/capture.js'
    try { captureCode([{ value: () => 1, label: 'f' }]) } catch (error) { console.log(error.code) }`,
  )
  expect(stdout).toBe('CAPTURE_INSPECTOR\n')
})
