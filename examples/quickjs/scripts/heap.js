// The heap grows, and the memory moves, while frames are parked.
const kept = [];
for (let round = 0; round < 20; round += 1) {
    kept.push(new Uint8Array(2_000_000).fill(round));
    sleep(0);
}
print(kept.every((bytes, round) => bytes[0] === round && bytes[1_999_999] === round));
const text = "x".repeat(1_000_000).replace(/^x/, () => (sleep(1), "y"));
print(text.length, text[0]);
