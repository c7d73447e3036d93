use super::*;

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn certificate(text: &str) -> CertificateName {
    text.parse().unwrap()
}

fn service(called: &str) -> Service {
    Service::new(name(called), OffsetDateTime::UNIX_EPOCH)
}

fn bound(called: &str, address: &str) -> Service {
    let binding = Some(Binding { address: address.parse().unwrap(), mac: None });
    Service { binding, ..service(called) }
}

fn certified(called: &str, text: &str) -> Service {
    Service { certificate: Some(certificate(text)), ..service(called) }
}

#[test]
fn a_certificate_s_name_says_its_kind_and_is_written_back_as_it_was_read() {
    for (text, written) in [
        ("uri:spiffe://example.org/ci", Some("uri:spiffe://example.org/ci")),
        ("dns:Host.Example.ORG", Some("dns:host.example.org")),
        ("cn:Printer 3", Some("cn:Printer 3")),
        ("spiffe://example.org/ci", None),
        ("uri:no-scheme", None),
        ("uri:spiffe://a b", None),
        ("uri:", None),
        ("dns:*.example.org", None),
        ("dns:", None),
        ("cn:", None),
        ("cn: printer", None),
        ("cn:a\u{0}b", None),
        ("email:a@example.org", None),
        ("", None),
    ] {
        let read = text.parse::<CertificateName>().ok().map(|name| name.to_string());
        assert_eq!(read.as_deref(), written, "{text}");
    }
    let long = format!("cn:{}", "a".repeat(CertificateName::LONGEST + 1));
    assert!(long.parse::<CertificateName>().is_err());
}

#[test]
fn what_a_service_proves_itself_with_is_nobody_else_s() {
    let client = Some((ProviderName::new("corp").unwrap(), "ci".to_owned()));
    let taken = Service { client, ..bound("printer", "192.0.2.9") };
    let taken = Service { certificate: Some(certificate("cn:printer")), ..taken };
    let services = Services::from_iter([taken.clone()]);
    let refused = |service: Service| services.check(&service).map_err(|refusal| refusal.label());
    assert_eq!(refused(taken.clone()), Ok(()));
    assert_eq!(refused(certified("other", "cn:printer")), Err("certificate_taken"));
    assert_eq!(refused(certified("other", "dns:printer")), Ok(()));
    assert_eq!(refused(Service { client: taken.client.clone(), ..service("other") }), Err("client_taken"));
    assert_eq!(refused(bound("other", "192.0.2.9")), Err("address_bound"));
    assert_eq!(refused(bound("other", "::ffff:192.0.2.9")), Err("address_bound"));
    assert_eq!(
        services.may_be_at(&name("ada"), "192.0.2.9".parse().unwrap()).map_err(|r| r.label()),
        Err("address_bound")
    );
    assert_eq!(services.may_be_at(&name("printer"), "192.0.2.9".parse().unwrap()), Ok(()));
}

#[test]
fn a_service_that_is_put_again_or_removed_leaves_nothing_behind() {
    let mut services = Services::from_iter([certified("ci", "cn:old")]);
    services.put(certified("ci", "cn:new"));
    assert_eq!(services.with_certificate(&[certificate("cn:old")]).unwrap_err(), CertificateRefusal::Unknown);
    assert_eq!(services.with_certificate(&[certificate("cn:new")]).unwrap().0.name, name("ci"));
    services.put(bound("printer", "192.0.2.9"));
    assert!(services.remove(&name("printer")).is_some());
    assert_eq!(services.check(&bound("other", "192.0.2.9")), Ok(()));
}

#[test]
fn a_certificate_with_the_names_of_two_services_is_neither() {
    let services = Services::from_iter([certified("a", "dns:a.example"), certified("b", "cn:b")]);
    let of = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| certificate(name)).collect();
        services.with_certificate(&names).map(|(service, _)| service.name.to_string())
    };
    assert_eq!(of(&["dns:x.example", "dns:a.example"]), Ok("a".to_owned()));
    assert_eq!(of(&["dns:a.example", "cn:b"]), Err(CertificateRefusal::Ambiguous));
    assert_eq!(of(&["cn:a.example"]), Err(CertificateRefusal::Unknown));
    assert_eq!(of(&[]), Err(CertificateRefusal::Unknown));
}

#[test]
fn an_address_that_is_no_host_s_and_a_service_without_proof_are_refused() {
    let services = Services::default();
    for address in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1"] {
        assert_eq!(services.check(&bound("x", address)).unwrap_err().label(), "not_a_host", "{address}");
    }
    for mac in [[0; 6], [1, 0, 0, 0, 0, 1], [255; 6]] {
        let binding = Some(Binding { address: "192.0.2.9".parse().unwrap(), mac: Some(mac) });
        let refusal = services.check(&Service { binding, ..service("x") }).unwrap_err();
        assert_eq!(refusal.label(), "not_a_hardware_address");
    }
    assert_eq!(services.check(&service("x")).unwrap_err().label(), "service_no_proof");
    let client = Some((ProviderName::new("corp").unwrap(), String::new()));
    assert_eq!(services.check(&Service { client, ..service("x") }).unwrap_err().label(), "client_invalid");
}

#[test]
fn a_binding_that_is_held_proves_nothing_and_a_certificate_still_does() {
    let binding = Binding { address: "192.0.2.9".parse().unwrap(), mac: None };
    let service = Service { binding: Some(binding), ..certified("x", "cn:x") };
    assert!(service.is_proved_by(&Credential::Binding(binding)));
    let other = Binding { mac: Some([2, 0, 0, 0, 0, 1]), ..binding };
    assert!(!service.is_proved_by(&Credential::Binding(other)));
    let held = Service { held: true, ..service };
    assert!(!held.is_proved_by(&Credential::Binding(binding)));
    assert!(held.is_proved_by(&Credential::Certificate(certificate("cn:x"))));
    assert!(!held.is_proved_by(&Credential::Certificate(certificate("cn:y"))));
}
