const { createClient, OnceboxError } = require('@oncebox/sdk');

const [, , url] = process.argv;
import('./tour.mjs').then(async ({ tour }) => {
  console.log(JSON.stringify(await tour(createClient(url), OnceboxError)));
});
