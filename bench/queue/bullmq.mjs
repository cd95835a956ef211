// BullMQ's side: adds no-op jobs, works them off, and prints one line of JSON.
//   node bullmq.mjs PORT JOBS CONCURRENCY
import { Queue, Worker } from 'bullmq';

const [port, jobs, concurrency] = process.argv.slice(2).map(Number);
const connection = { host: '127.0.0.1', port };
const name = `b${Date.now()}`;

const queue = new Queue(name, { connection });
const planning = performance.now();
for (let first = 0; first < jobs; first += 1000) {
  const part = Array.from({ length: Math.min(1000, jobs - first) }, (_, n) => ({
    name: 'task',
    data: { key: `um/aggTrades/SYM${first + n}USDT/2024-01` },
  }));
  await queue.addBulk(part);
}
const planned = (performance.now() - planning) / 1e3;

const before = process.cpuUsage();
const begun = performance.now();
let done = 0;
await new Promise((resolve, reject) => {
  const worker = new Worker(name, async () => {}, { connection, concurrency });
  worker.on('completed', () => {
    done += 1;
    if (done === jobs) resolve();
  });
  worker.on('error', reject);
});
const seconds = (performance.now() - begun) / 1e3;
const cpu = process.cpuUsage(before);
const cpuSeconds = (cpu.user + cpu.system) / 1e6;
console.log(JSON.stringify({
  done,
  plan_per_second: jobs / planned,
  seconds,
  tasks_per_second: done / seconds,
  cpu_us_per_task: (cpuSeconds * 1e6) / done,
}));
process.exit(0);
