//! Against what Java wrote (`tests/java/`), and against what nobody should have written.
#![allow(clippy::indexing_slicing)]

use proptest::prelude::*;

use super::*;

const OBJECTS: &str = include_str!("../../../tests/java/objects.txt");
const MESSAGES: &str = include_str!("../../../tests/java/messages.txt");

fn vectors(text: &'static str) -> impl Iterator<Item = (&'static str, Vec<u8>)> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, hex) = line.split_once('\t').unwrap();
        (name, unhex(hex))
    })
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

/// Java's own bytes for an object alone come out again.
#[test]
fn objects_of_java_are_carried_byte_for_byte() {
    let mut count = 0;
    for (name, bytes) in vectors(OBJECTS) {
        let value = Value::from_stream(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(value.to_stream(), bytes, "{name}");
        count += 1;
    }
    assert!(count >= 30, "{count}");
}

#[test]
fn messages_of_tomcat_are_carried_byte_for_byte() {
    let mut count = 0;
    for (name, bytes) in vectors(MESSAGES) {
        let value = Value::from_stream(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(value.to_stream(), bytes, "{name}");
        count += 1;
    }
    assert!(count >= 60, "{count}");
}

#[test]
fn objects_are_described() {
    let expected = [
        ("Short", "java.lang.Short"),
        ("UUID", "java.util.UUID"),
        ("String[]", "[Ljava.lang.String;"),
        ("List.of", "java.util.CollSer"),
        ("enum", "Gen$Color"),
        ("Class", "java.lang.Class"),
    ];
    for (name, class) in expected {
        let (_, bytes) = vectors(OBJECTS).find(|(of, _)| *of == name).unwrap();
        assert_eq!(describe(&Value::from_stream(&bytes).unwrap()).unwrap().class, class);
    }
    let plain = |name: &str| {
        let (_, bytes) = vectors(OBJECTS).find(|(of, _)| *of == name).unwrap();
        describe(&Value::from_stream(&bytes).unwrap()).unwrap().value
    };
    assert_eq!(plain("List.of"), Plain::List(vec![Plain::Text("a".into()), Plain::Text("b".into())]));
    assert_eq!(plain("Map.of"), Plain::Map(vec![(Plain::Text("k".into()), Plain::Text("v".into()))]));
    assert_eq!(plain("int[]"), Plain::List(vec![Plain::Int(1), Plain::Int(-1)]));
    assert_eq!(plain("Integer MIN"), Plain::Int(i64::from(i32::MIN)));
    assert_eq!(plain("empty HashMap"), Plain::Map(vec![]));
    assert_eq!(plain("string with NUL"), Plain::Text("a\0b".into()));
    // A list that holds itself is described to a depth, not for ever.
    assert!(matches!(plain("self-referencing list"), Plain::List(_)));
}

#[test]
fn plain_values_are_written_as_java_writes_them() {
    let java = |name: &str| vectors(OBJECTS).find(|(of, _)| *of == name).unwrap().1;
    assert_eq!(Value::integer(i32::MIN).to_stream(), java("Integer MIN"));
    assert_eq!(Value::boolean(false).to_stream(), java("Boolean FALSE"));
    assert_eq!(Value::string("").to_stream(), java("empty string"));
    assert_eq!(Value::string("a\0b").to_stream(), java("string with NUL"));
    assert_eq!(Value::list(&[]).to_stream(), java("empty ArrayList"));
    assert!(Value::null().is_null());
}

/// A descriptor that one value defines and the next only names travels with either.
#[test]
fn values_move_between_streams_with_their_descriptors() {
    let mut writer = Writer::new();
    writer.integer(1);
    writer.integer(2);
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    reader.object().unwrap();
    let second = reader.object().unwrap();
    reader.finish().unwrap();
    let value = Carrier::new(bytes.len()).carry(reader.graph(), second).unwrap();
    assert_eq!(value, Value::integer(2));
}

/// Two attributes that are one list stay one list.
#[test]
fn values_keep_what_they_share() {
    let mut writer = Writer::new();
    let handle = writer.begin(&Class::ARRAY_LIST);
    writer.prim(&[0; 4]);
    writer.i32(0);
    writer.end();
    writer.string("between");
    writer.again(handle);
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    let items: Vec<Item> = (0..3).map(|_| reader.object().unwrap()).collect();
    let values: Vec<Value> =
        Carrier::new(bytes.len()).carry_all(reader.graph(), &items).into_iter().map(Result::unwrap).collect();
    let mut writer = Writer::new();
    let mut groups = Groups::default();
    values.iter().for_each(|value| writer.value(value, &mut groups));
    assert_eq!(writer.finish(), bytes);
    assert_eq!(describe(&values[2]).unwrap().value, Plain::List(vec![]));
    // Each alone is whole.
    assert_eq!(values[2].to_stream(), Value::list(&[]).to_stream());
}

#[test]
fn a_number_in_two_attributes_is_no_tie() {
    let mut writer = Writer::new();
    let handle = writer.boolean(true);
    writer.again(handle);
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    let items: Vec<Item> = (0..2).map(|_| reader.object().unwrap()).collect();
    for value in Carrier::new(bytes.len()).carry_all(reader.graph(), &items) {
        assert_eq!(value.unwrap(), Value::boolean(true));
    }
}

#[test]
fn depth_is_bounded_where_it_is_read_and_where_it_is_written() {
    let list = |writer: &mut Writer| {
        let handle = writer.begin(&Class::ARRAY_LIST);
        writer.prim(&[0, 0, 0, 1]);
        writer.i32(1);
        handle
    };
    let mut writer = Writer::new();
    for _ in 0..1000 {
        list(&mut writer);
    }
    writer.null();
    (0..1000).for_each(|_| writer.end());
    assert_eq!(Value::from_stream(&writer.finish()), Err(Error::Depth));
    // Shallow to read, deep to write: each refers to the one before.
    let mut writer = Writer::new();
    let mut before = list(&mut writer);
    writer.null();
    writer.end();
    for _ in 0..100_000 {
        let handle = list(&mut writer);
        writer.again(before);
        writer.end();
        before = handle;
    }
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    let items: Vec<Item> = (0..100_001).map(|_| reader.object().unwrap()).collect();
    let mut carrier = Carrier::new(bytes.len());
    assert!(carrier.carry(reader.graph(), items[10]).is_ok());
    assert_eq!(carrier.carry(reader.graph(), items[100_000]), Err(Error::Depth));
    assert!(carrier.carry(reader.graph(), items[10]).is_ok());
}

/// Many small arrays that each hold one big one would be many big ones.
#[test]
fn a_carrier_takes_no_more_than_the_stream_justifies() {
    let mut writer = Writer::new();
    let big = writer.byte_array(&vec![7; 1 << 20]);
    for _ in 0..1000 {
        writer.begin(&Class::ARRAY_LIST);
        writer.prim(&[0, 0, 0, 1]);
        writer.i32(1);
        writer.again(big);
        writer.end();
    }
    let bytes = writer.finish();
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    let items: Vec<Item> = (0..1001).map(|_| reader.object().unwrap()).collect();
    let mut carrier = Carrier::new(bytes.len());
    let taken = items.iter().filter_map(|item| carrier.carry(reader.graph(), *item).ok());
    let total: usize = taken.map(|value| value.size()).sum();
    assert!(total <= bytes.len() * 32 + (1 << 20), "{total}");
}

/// The writer met an object that cannot be written: that value is lost, the next is not.
#[test]
fn a_value_its_writer_gave_up_on_is_passed_over() {
    let mut bytes = HEADER.to_vec();
    let mut list = Writer::bare();
    list.begin(&Class::ARRAY_LIST);
    list.prim(&[0, 0, 0, 1]);
    list.i32(1);
    bytes.extend(list.finish());
    bytes.push(tag::EXCEPTION);
    let mut rest = Writer::bare();
    rest.integer(5);
    bytes.extend(rest.finish());
    let mut after = Writer::bare();
    after.integer(6);
    bytes.extend(after.finish());
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    assert_eq!(reader.object(), Err(Error::Aborted));
    let item = reader.object().unwrap();
    assert_eq!(reader.graph().integer(item), Ok(6));
    reader.finish().unwrap();
}

#[test]
fn what_cannot_be_is_refused() {
    let cases: &[(&str, Error)] = &[
        ("aced0004", Error::Header),
        ("aced0005", Error::Short),
        ("aced00057f", Error::Tag(0x7f)),
        ("aced0005740005616263", Error::Short),
        ("aced0005740001ff", Error::Utf8),
        ("aced0005740001c0", Error::Utf8),
        ("aced000571007e0000", Error::Handle),
        ("aced0005710000", Error::Short),
        // An array's length beyond the stream, negative, and of a class that is none.
        ("aced0005757200025b42acf317f8060854e002000078707fffffff", Error::Short),
        ("aced0005757200025b4cacf317f8060854e002000078707fffffff", Error::Length),
        ("aced0005757200025b42acf317f8060854e00200007870ffffffff", Error::Length),
        ("aced0005757200024142acf317f8060854e0020000787000000000", Error::Descriptor),
        // Flags: protocol 1, both kinds at once, an enum as an object.
        ("aced000573720001410000000000000001040000", Error::Flags(4)),
        ("aced000573720001410000000000000001060000", Error::Flags(6)),
        ("aced0005737200014100000000000000011200007870", Error::Flags(0x12)),
        // A class that is its own super class; one whose super class is a string.
        ("aced00057372000141000000000000000102000078 71007e0000", Error::Handle),
        ("aced0005737200014100000000000000010200014c0001617400034c783b7871007e0001", Error::Handle),
        // The same field twice, a type that does not fit.
        ("aced000573720001410000000000000001020002490001614900016178", Error::Descriptor),
        ("aced0005737200014100000000000000010200014c0001617400025b4278", Error::Descriptor),
        // Primitive data where an object is due.
        ("aced0005770100", Error::ObjectDue),
    ];
    for (hex, error) in cases {
        let bytes = unhex(&hex.replace(' ', ""));
        assert_eq!(Value::from_stream(&bytes), Err(*error), "{hex}");
    }
}

#[test]
fn primitive_data_is_read_across_records() {
    let bytes = unhex("aced0005770200067a0000000653494400000177 04000000007701 09".replace(' ', "").as_str());
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    assert_eq!(reader.utf(), Ok("SID\0\0\u{1}".to_owned()));
    assert_eq!(reader.i32(), Ok(0));
    assert_eq!(reader.object(), Err(Error::ObjectDue));
    assert_eq!(reader.bool(), Ok(true));
    assert_eq!(reader.bool(), Err(Error::Short));
}

#[test]
fn long_primitive_data_is_split_as_java_splits_it() {
    let mut writer = Writer::new();
    writer.utf(&"x".repeat(1500));
    writer.null();
    let bytes = writer.finish();
    assert_eq!(&bytes[4..9], [0x7a, 0, 0, 4, 0]);
    assert_eq!(&bytes[4 + 5 + 1024..][..5], [0x7a, 0, 0, 1, 0xde]);
    let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
    assert_eq!(reader.utf().unwrap().len(), 1500);
    assert_eq!(reader.object(), Ok(Item::Null));
}

#[test]
fn texts_beyond_ascii_are_two_surrogates() {
    let mut out = Vec::new();
    encode_mutf8("😀é\0", &mut out);
    assert_eq!(out, unhex("eda0bdedb880c3a9c080"));
    assert_eq!(decode_mutf8(&out).unwrap(), "😀é\0");
    let long = Value::string(&"é".repeat(40_000));
    assert_eq!(long.to_stream()[4], tag::LONG_STRING);
    assert_eq!(long.as_text().unwrap().chars().count(), 40_000);
}

fn value(depth: u32) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(Value::integer),
        any::<i64>().prop_map(Value::long),
        any::<f64>().prop_map(Value::double),
        any::<bool>().prop_map(Value::boolean),
        ".{0,20}".prop_map(|text| Value::string(&text)),
        any::<Vec<u8>>().prop_map(|bytes| Value::bytes(&bytes)),
        any::<i64>().prop_map(Value::date),
        Just(Value::null()),
    ];
    leaf.prop_recursive(depth, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|values| Value::list(&values)),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(|pairs| Value::map(&pairs)),
        ]
    })
    .boxed()
}

proptest! {
    #[test]
    fn any_value_survives(value in value(4)) {
        let stream = value.to_stream();
        let again = Value::from_stream(&stream).unwrap();
        prop_assert_eq!(again.to_stream(), stream);
        prop_assert!(describe(&again).is_ok());
    }

    /// Values written one after the other are the same ones read back.
    #[test]
    fn any_values_share_a_stream(values in prop::collection::vec(value(3), 0..6)) {
        let mut writer = Writer::new();
        for value in &values {
            writer.value(value, &mut Groups::default());
        }
        let bytes = writer.finish();
        let mut reader = Reader::new(&bytes, Limits::VALUE).unwrap();
        let items: Vec<Item> = values.iter().map(|_| reader.object().unwrap()).collect();
        prop_assert!(reader.at_end());
        let carried = Carrier::new(bytes.len()).carry_all(reader.graph(), &items);
        for (carried, value) in carried.into_iter().zip(&values) {
            prop_assert_eq!(&carried.unwrap(), value);
        }
    }

    /// A changed byte is refused or read; what is read is written and read as the same.
    #[test]
    fn no_byte_can_do_harm(which in 0..100_usize, at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let vectors: Vec<_> = vectors(OBJECTS).chain(vectors(MESSAGES)).collect();
        let mut bytes = vectors[which % vectors.len()].1.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(value) = Value::from_stream(&bytes) {
            let stream = value.to_stream();
            prop_assert_eq!(Value::from_stream(&stream).unwrap().to_stream(), stream);
            let _ = describe(&value);
        }
    }
}
