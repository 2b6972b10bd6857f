// Records a second through models: predict() in one executor, beside calling onnxruntime directly, with one thread, the same
// records and the same batches. CPU is that of the executor, or of the process that calls. Usage, from the root:
//   npx tsx bench/models/predict.ts [records]
import { readFileSync } from 'node:fs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { local } from '../../dist/index.js'
import { onnxFile } from '../../examples/onnx/onnx-writer.ts'

const records = Number(process.argv[2] ?? 40_000)
const batch = 256
const features = 256
const rounds = 5

/** Layers of MatMul, Add and Relu over 256 features. */
function network(layers: readonly number[]): Uint8Array {
  const sizes = [features, ...layers]
  const values = (count: number): Float32Array => Float32Array.from({ length: count }, (_, k) => Math.sin(k) / 16)
  return onnxFile({
    inputs: [{ name: 'x', type: 'float32', shape: ['N', features] }],
    outputs: [{ name: `y${layers.length}`, type: 'float32', shape: ['N', layers.at(-1) ?? 0] }],
    weights: layers.flatMap((size, k) => [
      { name: `w${k}`, shape: [sizes[k] ?? 0, size], data: values((sizes[k] ?? 0) * size) },
      { name: `b${k}`, shape: [size], data: values(size) },
    ]),
    nodes: layers.flatMap((_, k) => [
      { op: 'MatMul', inputs: [k === 0 ? 'x' : `y${k}`, `w${k}`], outputs: [`p${k}`] },
      { op: 'Add', inputs: [`p${k}`, `b${k}`], outputs: [`s${k}`] },
      { op: 'Relu', inputs: [`s${k}`], outputs: [`y${k + 1}`] },
    ]),
  })
}

/** What a record gives to the model; made in the same way on both sides. */
const rowOf = (n: number): Float32Array => new Float32Array(256).fill((n % 100) / 100)

async function direct(session: InferenceSession): Promise<number> {
  let seen = 0
  for (let first = 0; first < records; first += batch) {
    const count = Math.min(batch, records - first)
    const data = new Float32Array(count * features)
    for (let k = 0; k < count; k++) data.set(rowOf(first + k), k * features)
    const outputs = await session.run({ x: new Tensor('float32', data, [count, features]) })
    for (const output of Object.values(outputs)) seen += output.dims[0] ?? 0
  }
  return seen
}

await using mill = await local({ executors: 1 })
const numbers = Array.from({ length: records }, (_, n) => n)

for (const [name, layers] of [
  ['256-512-512-10', [512, 512, 10]],
  ['256-10', [10]],
] as const) {
  const onnx = network(layers)
  const session = await InferenceSession.create(onnx, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  await mill.models.set('network', onnx)
  const predicting = mill.from(numbers, { partitions: 4 }).predict('network', { input: rowOf, batch }).count()
  await predicting.run()
  await direct(session)
  // In turn, so that a busy machine is as busy for both.
  const ratios: number[] = []
  for (let round = 0; round < rounds; round++) {
    const own = process.cpuUsage()
    await direct(session)
    const { user, system } = process.cpuUsage(own)
    const directSeconds = (user + system) / 1e6
    const before = executorSeconds()
    await predicting.run()
    const seconds = executorSeconds() - before
    ratios.push(directSeconds / seconds)
    report(name, directSeconds, seconds)
  }
  ratios.sort((a, b) => a - b)
  console.log(`${name}: predict() at ${(ratios[ratios.length >> 1] ?? 0).toFixed(2)}x of onnxruntime (median)`)
}

/** CPU seconds of the executors until now. */
function executorSeconds(): number {
  let ticks = 0
  for (const pid of mill.executors.pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
    ticks += Number(fields[11]) + Number(fields[12])
  }
  return ticks / 100
}

function report(name: string, directSeconds: number, seconds: number): void {
  const rate = (cpu: number): string => Math.round(records / cpu).toString()
  console.log(`${name}: onnxruntime ${rate(directSeconds)}, predict() ${rate(seconds)} records per CPU second`)
}
