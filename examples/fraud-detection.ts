// Fraud detection: a logistic regression is trained on transactions with matrices, written as an ONNX model, and classifies
// payments while they come in.
//
//   npx gearmill run examples/fraud-detection.ts
import { local, type Matrix } from 'gearmill'
import { onnxFile } from './onnx/onnx-writer.ts'

await using mill = await local()

/** The same pseudo-random numbers in every run, uniform in [0, 1). */
let state = 1
function random(): number {
  state = (state * 48271) % 2147483647
  return state / 2147483647
}

interface Payment {
  readonly amount: number
  readonly hour: number
  readonly kilometresFromHome: number
  readonly isFraud: boolean
}

function payment(): Payment {
  const [amount, hour, kilometresFromHome] = [random() * 1000, Math.floor(random() * 24), random() * 200]
  // Nobody knows this rule: it is to be learned. Some that look honest are not, and the other way round.
  const isAtNight = hour < 6
  const suspicion = amount / 200 + (isAtNight ? 2 : 0) + kilometresFromHome / 50 - 6
  return { amount, hour, kilometresFromHome, isFraud: suspicion + (random() - 0.5) > 0 }
}

/** What the model sees of a payment; the 1 is for the constant. */
const featuresOf = ({ amount, hour, kilometresFromHome }: Omit<Payment, 'isFraud'>): number[] => [
  1,
  amount / 1000,
  hour < 6 ? 1 : 0,
  kilometresFromHome / 200,
]

// Train: iteratively reweighted least squares, each round a linear regression over all transactions.
const history = Array.from({ length: 5000 }, payment)
const x = await mill.matrix.from(history.map(featuresOf))
const y = await mill.matrix.from(history.map(({ isFraud }) => [isFraud ? 1 : 0]))
let weights: Matrix = await mill.matrix.full(0, 4, 1).eval()
for (let round = 0; round < 8; round++) {
  const score = x.matmul(weights)
  const p = score.neg().exp().add(1).rdiv(1)
  const slope = p.mul(p.rsub(1)).most(1e-6)
  const target = score.add(y.sub(p).div(slope))
  const root = slope.sqrt()
  const { coefficients } = await mill.matrix.regression(x.mul(root), target.mul(root), { ridge: 1e-6 })
  await weights.close()
  weights = coefficients
}
const right = x.matmul(weights).gt(0).eq(y)
console.log(`right about ${Math.round((await right.mean()) * 100)} % of the transactions`) // -> right about 96 % of the transactions

// Export: p = sigmoid(x w).
const model = onnxFile({
  inputs: [{ name: 'features', type: 'float32', shape: ['N', 4] }],
  outputs: [{ name: 'fraud', type: 'float32', shape: ['N', 1] }],
  weights: [{ name: 'w', shape: [4, 1], data: Float32Array.from(await weights.data()) }],
  nodes: [
    { op: 'MatMul', inputs: ['features', 'w'], outputs: ['score'] },
    { op: 'Sigmoid', inputs: ['score'], outputs: ['fraud'] },
  ],
})
const { inputs, outputs } = await mill.models.set('fraud', model)
console.log(inputs.map(({ name }) => name).join(), '->', outputs.map(({ name }) => name).join()) // -> features -> fraud

// Classify what comes in: any worker does that, also when this script has ended.
const trigger = await mill
  .stream('payments')
  .predict('fraud', {
    input: ({ value }) =>
      featuresOf({
        amount: Number(value.amount),
        hour: Number(value.hour),
        kilometresFromHome: Number(value.kilometresFromHome),
      }),
    batch: 100,
  })
  .filter(({ output }) => Number(output.fraud?.data[0]) > 0.5)
  .write(({ record, output }) => ['HSET', 'suspects', record.value.id ?? '', String(output.fraud?.data[0])])
  .register({ name: 'fraud', batch: 100 })

const live = Array.from({ length: 500 }, payment)
await Promise.all(
  live.map(({ amount, hour, kilometresFromHome }, id) =>
    mill.redis.xAdd('payments', '*', {
      id: String(id),
      amount: String(amount),
      hour: String(hour),
      kilometresFromHome: String(kilometresFromHome),
    }),
  ),
)
while ((await trigger.status()).successes < live.length) await new Promise((resolve) => setTimeout(resolve, 20))

const suspects = new Set(Object.keys(await mill.redis.hGetAll('suspects')).map(Number))
const hits = live.filter(({ isFraud }, id) => isFraud === suspects.has(id)).length
console.log(`right about ${Math.round((hits / live.length) * 100)} % of the payments`) // -> right about 97 % of the payments
