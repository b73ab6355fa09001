//! A module that is long to compile: a kind 4 echo with as many more functions as make it so large. Valid, and nothing in it is left out.

/// Steps of one of its functions.
const STEPS: u32 = 250;

/// At least so many bytes, and a function's worth more at most.
#[must_use]
pub fn heavy_module(bytes: usize) -> Vec<u8> {
    let mut bodies: Vec<Vec<u8>> = vec![
        // alloc: always the same place.
        vec![0, 0x41, 0x80, 0x08, 0x0b],
        // handle: the event is the answer; its address above, its length below.
        vec![0, 0x20, 0, 0xad, 0x42, 32, 0x86, 0x20, 1, 0xad, 0x84, 0x0b],
    ];
    let mut size = 0;
    let mut seed = 1;
    while size < bytes {
        let body = body(&mut seed);
        size += body.len() + 3;
        bodies.push(body);
    }
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    // (i32) -> i32 and (i32, i32) -> i64
    section(&mut module, 1, &[2, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 2, 0x7f, 0x7f, 1, 0x7e]);
    let mut types = leb(bodies.len());
    types.extend((0..bodies.len()).map(|number| u8::from(number == 1)));
    section(&mut module, 3, &types);
    section(&mut module, 5, &[1, 0, 1]);
    section(&mut module, 7, b"\x03\x06memory\x02\0\x05alloc\0\0\x06handle\0\x01");
    let mut code = leb(bodies.len());
    for body in bodies {
        code.extend(leb(body.len()));
        code.extend(body);
    }
    section(&mut module, 10, &code);
    module
}

/// Multiplies, adds and turns by numbers that no other function has, so that nothing is folded.
fn body(seed: &mut u32) -> Vec<u8> {
    let mut body = vec![0, 0x20, 0];
    for step in 0..STEPS {
        *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        body.push(0x41);
        // Positive as a signed LEB: below 2^27 in four bytes.
        body.extend(leb((*seed >> 5) as usize | 1 << 21));
        body.push([0x6c, 0x6a, 0x77, 0x73][step as usize % 4]);
    }
    body.push(0x0b);
    body
}

fn section(module: &mut Vec<u8>, id: u8, content: &[u8]) {
    module.push(id);
    module.extend(leb(content.len()));
    module.extend_from_slice(content);
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).expect("seven bits");
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_valid_echo_of_its_size() {
        let code = heavy_module(200_000);
        assert!((200_000..203_000).contains(&code.len()), "{}", code.len());
        let engine = wasmtime::Engine::default();
        let module = wasmtime::Module::new(&engine, &code).expect("valid");
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).expect("no imports");
        let alloc = instance.get_typed_func::<u32, u32>(&mut store, "alloc").expect("alloc");
        assert_eq!(alloc.call(&mut store, 5).expect("it answers"), 1024);
        let handle =
            instance.get_typed_func::<(u32, u32), u64>(&mut store, "handle").expect("handle");
        assert_eq!(handle.call(&mut store, (1024, 5)).expect("it answers"), 1024 << 32 | 5);
    }
}
