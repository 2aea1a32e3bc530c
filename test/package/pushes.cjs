// node pushes.cjs SOCKET INSTANCE COUNT: files /root/burst/N, one connection each and none repeated, until a file "stop"
// stands beside this one and COUNT are sent. Prints one JSON object: what was accepted, and what was not.
const { request } = require('node:http');
const { existsSync } = require('node:fs');

const [socketPath, instance, count] = process.argv.slice(2);
const SENDERS = 8;
const accepted = [];
const refused = [];
let next = 0;

function push(number) {
  return new Promise((resolve) => {
    const headers = { 'X-Container-Name': instance, 'X-File-Path': `/root/burst/${number}` };
    const sent = request(
      { socketPath, method: 'POST', path: '/upload', headers, agent: false },
      (response) => {
        response.resume().once('end', () => {
          if (response.statusCode === 202) accepted.push({ number, id: response.headers['x-job-id'] });
          else refused.push(`${number}: ${response.statusCode}`);
          resolve();
        });
      },
    );
    sent.once('error', (error) => {
      refused.push(`${number}: ${error.message}`);
      resolve();
    });
    sent.end(String(number));
  });
}

async function send() {
  while (next < Number(count) || !existsSync(`${__dirname}/stop`)) {
    next += 1;
    await push(next);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

void Promise.all(Array.from({ length: SENDERS }, send)).then(() =>
  console.log(JSON.stringify({ accepted, refused })),
);
